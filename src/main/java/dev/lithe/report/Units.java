package dev.lithe.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;

/// Numbers as people read them.
public final class Units {
    private static final long KILO = 1000;
    private static final String[] BYTES = {"kB", "MB", "GB", "TB"};
    private static final double SMALLEST_PLAIN = 1e-5;
    private static final double LARGEST_PLAIN = 1e6;

    private Units() {}

    /// `512 B`, `14.4 MB`; a kilobyte is 1000 bytes.
    public static String bytes(long bytes) {
        if (bytes < KILO) {
            return bytes + " B";
        }
        double value = bytes;
        int unit = -1;
        // 999.95 would round to 1000.0
        while (value >= KILO - 0.05 && unit < BYTES.length - 1) {
            value /= KILO;
            unit++;
        }
        return format("%.1f %s", value, BYTES[unit]);
    }

    /// `7.2 M`, `260 k`, `950`.
    public static String count(long count) {
        if (count < KILO) {
            return Long.toString(count);
        }
        if (count < KILO * KILO) {
            return format("%.0f k", count / 1e3);
        }
        return count < KILO * KILO * KILO
                ? format("%.1f M", count / 1e6)
                : format("%.2f B", count / 1e9);
    }

    /// `8 192`: digits in groups of three.
    public static String grouped(long number) {
        return format("%,d", number).replace(',', ' ');
    }

    /// `0.42 ms`, `4.1 ms`, `250 ms`, `12.3 s`.
    public static String millis(double millis) {
        if (millis >= 10_000) {
            return format("%.1f s", millis / 1e3);
        }
        return format(millis >= 100 ? "%.0f ms" : millis >= 1 ? "%.1f ms" : "%.2f ms", millis);
    }

    /// `5.42`, `1234`, `1.2e+09`.
    public static String perplexity(double value) {
        if (!(value < LARGEST_PLAIN)) {
            return format("%.1e", value);
        }
        return format(value >= KILO ? "%.0f" : "%.2f", value);
    }

    /// `0.0061`: two significant digits.
    public static String divergence(double value) {
        if (value != 0 && Math.abs(value) < SMALLEST_PLAIN) {
            return format("%.1e", value);
        }
        return value == 0 ? "0" : new BigDecimal(value).round(new MathContext(2)).toPlainString();
    }

    /// `95.9 %`, `99.97 %`; only a whole share is `100 %`.
    public static String percent(double share) {
        double percent = 100 * share;
        if (share == 1) {
            return "100 %";
        }
        return format(percent >= 99 ? "%.2f %%" : "%.1f %%", Math.min(percent, 99.99));
    }

    /// `4.99`.
    public static String decimal(double value) {
        return format("%.2f", value);
    }

    /// `1.013` or `0.54`, by the digits asked for; fewer when it is large.
    static String ratio(double value, int digits) {
        if (!(value < LARGEST_PLAIN)) {
            return format("%.1e", value);
        }
        return format("%." + (value >= KILO ? 0 : value >= 10 ? 1 : digits) + "f", value);
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
