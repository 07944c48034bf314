package dev.lithe.evaluate;

import java.util.Arrays;

/// What one model took in each pair, in milliseconds.
///
/// @param outputTokens generated in each run
/// @param firstToken time to first token (TTFT): from the prompt's ids to the first id
/// @param perToken time per output token (TPOT): the rest of the run by the tokens after the first
public record LatencySamples(int outputTokens, double[] firstToken, double[] perToken) {
    private static final double MILLIS = 1000;

    /// Output tokens per second over all runs, prompts included.
    public double tokensPerSecond() {
        double millis =
                Arrays.stream(firstToken).sum()
                        + Arrays.stream(perToken).sum() * (outputTokens - 1);
        return MILLIS * outputTokens * firstToken.length / millis;
    }

    /// The ratio of medians of the times to first token, this by `base`, paired.
    public Estimate firstTokenRatio(LatencySamples base, long seed) {
        return medianRatio(firstToken, base.firstToken, seed);
    }

    /// The ratio of medians of the times per token, this by `base`, paired.
    public Estimate perTokenRatio(LatencySamples base, long seed) {
        return medianRatio(perToken, base.perToken, seed);
    }

    private static Estimate medianRatio(double[] times, double[] base, long seed) {
        return Bootstrap.estimate(
                times.length, seed, drawn -> median(times, drawn) / median(base, drawn));
    }

    private static double median(double[] times, int[] drawn) {
        double[] sorted = new double[drawn.length];
        for (int i = 0; i < drawn.length; i++) {
            sorted[i] = times[drawn[i]];
        }
        Arrays.sort(sorted);
        return Percentiles.ofSorted(sorted, 0.5);
    }
}
