package dev.lithe.evaluate;

import org.jspecify.annotations.Nullable;

/// What one model scored, window by window.
///
/// @param scoredPerWindow predictions of a window that count
/// @param loss summed negative log likelihood of each window, in nats
/// @param divergence from the original, or null for the original itself
public record Scores(int scoredPerWindow, double[] loss, @Nullable Divergence divergence) {
    /// How far a model's predictions are from the original's.
    ///
    /// @param kl summed KL(original || model) of each window, in nats
    /// @param sameTop predictions of each window with the same most likely token
    /// @param tokenKl KL(original || model) of every prediction
    public record Divergence(double[] kl, int[] sameTop, float[] tokenKl) {}

    /// Windows.
    public int windows() {
        return loss.length;
    }

    /// Predictions that count.
    public int scored() {
        return windows() * scoredPerWindow;
    }
}
