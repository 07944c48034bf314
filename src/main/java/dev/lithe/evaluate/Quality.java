package dev.lithe.evaluate;

import dev.lithe.evaluate.Scores.Divergence;
import java.util.Arrays;
import java.util.stream.IntStream;

/// The numbers that scores come down to. Intervals are bootstrapped over windows.
public final class Quality {
    private static final double P99 = 0.99;

    private Quality() {}

    /// Mean negative log likelihood of a prediction, in nats.
    public static double meanLoss(Scores scores) {
        return Arrays.stream(scores.loss()).sum() / scores.scored();
    }

    /// Perplexity: `exp` of the mean loss.
    public static Estimate perplexity(Scores scores, long seed) {
        return Bootstrap.estimate(
                scores.windows(),
                seed,
                drawn -> {
                    double sum = 0;
                    for (int window : drawn) {
                        sum += scores.loss()[window];
                    }
                    return Math.exp(sum / ((double) drawn.length * scores.scoredPerWindow()));
                });
    }

    /// Perplexity of `compressed` by that of `original`, paired by window.
    public static Estimate perplexityRatio(Scores compressed, Scores original, long seed) {
        return Bootstrap.estimate(
                original.windows(),
                seed,
                drawn -> {
                    double sum = 0;
                    for (int window : drawn) {
                        sum += compressed.loss()[window] - original.loss()[window];
                    }
                    return Math.exp(sum / ((double) drawn.length * original.scoredPerWindow()));
                });
    }

    /// Bits that a character of the text costs.
    ///
    /// @param characters of each window's predictions
    public static Estimate bitsPerCharacter(Scores scores, long[] characters, long seed) {
        return Bootstrap.estimate(
                scores.windows(), seed, drawn -> bits(scores, characters, drawn, drawn.length));
    }

    /// Bits per character of `compressed` by those of `original`, which may split the text into
    /// other tokens: each of its windows is paired with the one at the same place of the text.
    public static Estimate bitsPerCharacterRatio(
            Scores compressed, long[] characters, Scores original, long[] theirs, long seed) {
        int windows = original.windows();
        return Bootstrap.estimate(
                windows,
                seed,
                drawn ->
                        bits(compressed, characters, drawn, windows)
                                / bits(original, theirs, drawn, windows));
    }

    /// Over the windows `drawn` of `of`, at the places where `scores` has its own.
    private static double bits(Scores scores, long[] characters, int[] drawn, int of) {
        double loss = 0;
        long read = 0;
        for (int window : drawn) {
            int own = (int) ((long) window * scores.windows() / of);
            loss += scores.loss()[own];
            read += characters[own];
        }
        return loss / Math.log(2) / read;
    }

    /// Mean KL(original || model) of a prediction, in nats.
    public static double meanDivergence(Divergence divergence) {
        return Arrays.stream(divergence.kl()).sum() / divergence.tokenKl().length;
    }

    /// The KL(original || model) that one prediction in a hundred exceeds, in nats.
    public static double divergenceP99(Divergence divergence) {
        float[] tokens = divergence.tokenKl();
        double[] sorted = IntStream.range(0, tokens.length).mapToDouble(i -> tokens[i]).toArray();
        Arrays.sort(sorted);
        return Percentiles.ofSorted(sorted, P99);
    }

    /// The share of predictions whose most likely token is the original's, from 0 to 1.
    public static double sameTop(Divergence divergence) {
        return (double) Arrays.stream(divergence.sameTop()).sum() / divergence.tokenKl().length;
    }
}
