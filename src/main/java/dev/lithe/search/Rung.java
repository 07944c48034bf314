package dev.lithe.search;

import java.util.Locale;

/// How thoroughly a recipe is tried. Most end at the first, by successive halving (Jamieson,
/// Talwalkar, arXiv 1502.07943).
public enum Rung {
    /// Few calibration windows, and divergence on few held-out tokens.
    SCREEN(16, 1024),
    /// The calibration that the result will have, less what is held out, and all held-out tokens.
    FULL(128, 8192),
    /// All of the calibration text, and the evaluation text.
    FINAL(128, 0);

    private final int samples;
    private final int tokens;

    Rung(int samples, int tokens) {
        this.samples = samples;
        this.tokens = tokens;
    }

    /// Calibration windows.
    int samples() {
        return samples;
    }

    /// Most held-out tokens.
    int tokens() {
        return tokens;
    }

    /// For people and for the journal: `screen`.
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
