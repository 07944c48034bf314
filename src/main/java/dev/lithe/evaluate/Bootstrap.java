package dev.lithe.evaluate;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/// The percentile bootstrap (Efron 1979): a statistic is computed anew on samples drawn with
/// replacement, and the middle 95 % of what comes out is its interval.
///
/// Samples are windows or pairs of runs, named by their index. A statistic that reads two models at
/// the same index is paired: what a hard window does to both cancels out.
public final class Bootstrap {
    /// How often samples are drawn.
    public static final int RESAMPLES = 2000;

    /// With fewer samples than this an interval would promise more than it knows, so there is none.
    public static final int FEWEST_SAMPLES = 10;

    private static final double LOW = 0.025;
    private static final double HIGH = 0.975;

    private Bootstrap() {}

    /// The statistic of samples 0 to `n - 1`, with its interval.
    ///
    /// @param seed the same seed and `n` draw the same samples
    /// @param statistic of a list of sample indices, which may repeat; must not keep the list
    public static Estimate estimate(int n, long seed, ToDoubleFunction<int[]> statistic) {
        double value = statistic.applyAsDouble(IntStream.range(0, n).toArray());
        if (n < FEWEST_SAMPLES) {
            return new Estimate(value, null);
        }
        var random = new SplittableRandom(seed);
        int[] drawn = new int[n];
        double[] values = new double[RESAMPLES];
        for (int resample = 0; resample < RESAMPLES; resample++) {
            Arrays.setAll(drawn, _ -> random.nextInt(n));
            values[resample] = statistic.applyAsDouble(drawn);
        }
        Arrays.sort(values);
        return new Estimate(
                value,
                new Interval(
                        Percentiles.ofSorted(values, LOW), Percentiles.ofSorted(values, HIGH)));
    }
}
