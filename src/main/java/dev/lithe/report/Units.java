package dev.lithe.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;

/// Numbers as people read them.
public final class Units {
    private static final long KILO = 1000;
    private static final String[] PREFIXES = {"", "k", "M", "G", "T"};

    /// 999.6 k is printed as 1.00 M, not as 1000 k.
    private static final double ROUNDS_UP = 0.5;

    private static final double SMALLEST_PLAIN = 1e-5;
    private static final double LARGEST_PLAIN = 1e6;

    private Units() {}

    /// `512 B`, `14.4 MB`: three significant digits; a kilobyte is 1000 bytes.
    public static String bytes(long bytes) {
        return scaled(bytes) + "B";
    }

    /// `7.21 M`, `950`.
    public static String count(long count) {
        return scaled(count).strip();
    }

    private static String scaled(double value) {
        int prefix = 0;
        while (value >= KILO - ROUNDS_UP && prefix < PREFIXES.length - 1) {
            value /= KILO;
            prefix++;
        }
        int decimals = prefix == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
        return format("%." + decimals + "f %s", value, PREFIXES[prefix]);
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

    /// `0.4 s`, `52 s`, `3 min`, `2.5 h`: for estimates.
    public static String seconds(double seconds) {
        if (seconds < 10) {
            return format("%.1f s", seconds);
        }
        if (seconds < 100) {
            return format("%.0f s", seconds);
        }
        return seconds < 6000 ? format("%.0f min", seconds / 60) : format("%.1f h", seconds / 3600);
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
