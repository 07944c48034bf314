package dev.lithe.technique.prune;

import dev.lithe.fault.LitheException;
import java.util.regex.MatchResult;

/// Where zeros may lie: anywhere, or evenly, `keep` weights of every `of` inputs side by side.
///
/// @param of 0 for anywhere
record Pattern(int keep, int of) {
    /// The usual share of zeros.
    static final double HALF = 0.5;

    private static final java.util.regex.Pattern N_OF_M =
            java.util.regex.Pattern.compile("(\\d{1,2}):(\\d{1,2})");

    private static final int LARGEST = 32;

    /// Reads `unstructured`, or a pattern like `2:4`.
    ///
    /// @throws LitheException for anything else, and where `sparsity` says another share of zeros
    static Pattern of(String text, double sparsity) {
        if (!(sparsity > 0 && sparsity < 1)) {
            throw LitheException.badInput(
                    "sparsity is %s; choose a share of zeros above 0 and below 1", sparsity);
        }
        if (text.equals("unstructured")) {
            return new Pattern(0, 0);
        }
        MatchResult match =
                N_OF_M.matcher(text)
                        .results()
                        .filter(found -> found.group().length() == text.length())
                        .findFirst()
                        .orElseThrow(() -> unknown(text));
        var pattern =
                new Pattern(Integer.parseInt(match.group(1)), Integer.parseInt(match.group(2)));
        if (pattern.keep < 1 || pattern.keep >= pattern.of || pattern.of > LARGEST) {
            throw unknown(text);
        }
        double zeros = pattern.sparsity(sparsity);
        if (sparsity != HALF && Math.abs(sparsity - zeros) > 1e-9) {
            throw LitheException.badInput(
                    "pattern %s leaves %s zeros, and sparsity says %s; leave sparsity out",
                    text, zeros, sparsity);
        }
        return pattern;
    }

    private static LitheException unknown(String text) {
        return LitheException.badInput(
                "pattern '%s' is unknown; choose unstructured, or weights kept of as many up to %d,"
                        + " like 2:4",
                text, LARGEST);
    }

    boolean anywhere() {
        return of == 0;
    }

    /// The share of zeros, where `anywhere` of `unstructured`.
    double sparsity(double unstructured) {
        return anywhere() ? unstructured : (double) (of - keep) / of;
    }

    /// Refuses a row of `k` weights that it does not divide.
    void requireDividing(int k) {
        if (!anywhere() && k % of != 0) {
            throw LitheException.badInput(
                    "pattern %d:%d does not divide %d inputs; choose another, or unstructured",
                    keep, of, k);
        }
    }
}
