package dev.lithe.evaluate;

import dev.lithe.fault.LitheException;

/// How latency is measured.
///
/// @param pairs runs of each model; 0 measures none
/// @param promptTokens tokens of a prompt
/// @param outputTokens tokens generated, end-of-text ignored
/// @param seed decides the order of the models in each pair
public record LatencyOptions(int pairs, int promptTokens, int outputTokens, long seed) {
    private static final int MAX_PAIRS = 100_000;

    public LatencyOptions {
        if (pairs != 0 && (pairs < Bootstrap.FEWEST_SAMPLES || pairs > MAX_PAIRS)) {
            throw LitheException.badInput(
                    "%d latency pairs; an interval takes %d to %d, and 0 skips the measurement",
                    pairs, Bootstrap.FEWEST_SAMPLES, MAX_PAIRS);
        }
        if (promptTokens < 1 || outputTokens < 2) {
            throw LitheException.badInput(
                    "%d prompt and %d output tokens; latency needs at least 1 and 2",
                    promptTokens, outputTokens);
        }
    }

    /// The same, with lengths cut to what the text and the models' positions hold: a prompt of at
    /// most half the positions, then as many output tokens as fit.
    ///
    /// @throws LitheException where not even one prompt token and two output tokens fit
    LatencyOptions within(int textTokens, int positions) {
        int prompt = Math.min(promptTokens, Math.min(textTokens, Math.max(1, positions / 2)));
        // the last output token is never read, so it takes no position
        int output = Math.min(outputTokens, positions - prompt + 1);
        return new LatencyOptions(pairs, prompt, output, seed);
    }
}
