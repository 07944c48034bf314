package dev.lithe.technique.reshape;

import dev.lithe.calibrate.ChannelMoments;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;

/// How much channels count, by different authors.
enum Importance {
    /// What a channel varies times what reads it: `Var(x_j) Σ_i W_ij²`. Its mean can be made up for
    /// by a bias (An, Zhao, Yu, Tang, Wang: "FLAP", arXiv 2312.11983).
    FLAP,
    /// The channel's size times what reads it: `E[x_j²] Σ_i W_ij²`, Wanda's score for columns.
    WANDA,
    /// The channel's size, `E[x_j²]` (Muralidharan et al.: "Minitron", arXiv 2407.14679).
    MINITRON,
    /// The size of the weights that make and read it.
    MAGNITUDE,
    /// Chance, to compare with.
    RANDOM;

    /// Scores of channels.
    ///
    /// @param reading Σ_i W_ij² over what reads channel j
    /// @param making the same over what makes it
    double[] scores(ChannelMoments seen, float[] reading, float[] making, Random random) {
        double[] scores = new double[reading.length];
        for (int j = 0; j < scores.length; j++) {
            scores[j] =
                    switch (this) {
                        case FLAP -> seen.variance(j) * reading[j];
                        case WANDA -> (double) seen.square()[j] * reading[j];
                        case MINITRON -> seen.square()[j];
                        case MAGNITUDE -> (double) reading[j] + making[j];
                        case RANDOM -> random.nextDouble();
                    };
        }
        return scores;
    }

    /// The `count` best of `scores`, in ascending order.
    static long[] best(double[] scores, int count) {
        return IntStream.range(0, scores.length)
                .boxed()
                .sorted(Comparator.comparingDouble(j -> -scores[j]))
                .limit(count)
                .mapToLong(Integer::longValue)
                .sorted()
                .toArray();
    }

    /// Sums of `width` scores side by side.
    static double[] sums(double[] scores, int width) {
        double[] sums = new double[scores.length / width];
        for (int i = 0; i < scores.length; i++) {
            sums[i / width] += scores[i];
        }
        return sums;
    }

    /// Numbers of the channels of `units`, each `width` channels side by side.
    static long[] channels(long[] units, int width) {
        return Arrays.stream(units)
                .flatMap(unit -> IntStream.range(0, width).mapToLong(i -> unit * width + i))
                .toArray();
    }
}
