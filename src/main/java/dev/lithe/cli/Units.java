package dev.lithe.cli;

import java.util.Locale;

/// Numbers as people read them: three significant digits and a decimal prefix.
final class Units {
    private static final String[] PREFIXES = {"", "k", "M", "G", "T"};

    private Units() {}

    /// `14.4 MB`.
    static String bytes(long bytes) {
        return scaled(bytes) + "B";
    }

    /// `7.21 M`.
    static String count(long count) {
        return scaled(count).strip();
    }

    private static String scaled(double value) {
        int prefix = 0;
        while (value >= 1000 && prefix < PREFIXES.length - 1) {
            value /= 1000;
            prefix++;
        }
        int decimals = prefix == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
        return String.format(Locale.ROOT, "%." + decimals + "f %s", value, PREFIXES[prefix]);
    }
}
