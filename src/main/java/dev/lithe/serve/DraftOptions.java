package dev.lithe.serve;

import dev.lithe.engine.Speculation;

/// Which variant guesses for the first one.
///
/// @param variant another than the first
/// @param most tokens that it guesses at once, at most
public record DraftOptions(String variant, int most) {
    public DraftOptions {
        Speculation.requireMost(most);
    }
}
