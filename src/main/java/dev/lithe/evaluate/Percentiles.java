package dev.lithe.evaluate;

import dev.lithe.fault.LitheException;
import java.util.Arrays;

/// Percentiles of samples, interpolated linearly between neighbours.
public record Percentiles(double p50, double p95, double p99) {
    /// The percentiles of `samples`, in any order.
    public static Percentiles of(double[] samples) {
        double[] sorted = samples.clone();
        Arrays.sort(sorted);
        return new Percentiles(
                ofSorted(sorted, 0.5), ofSorted(sorted, 0.95), ofSorted(sorted, 0.99));
    }

    /// The value below which the fraction `p` of ascending `samples` lies.
    static double ofSorted(double[] samples, double p) {
        if (samples.length == 0) {
            throw LitheException.badInput("there are no samples to take percentiles of");
        }
        double place = p * (samples.length - 1);
        int below = (int) place;
        int above = Math.min(below + 1, samples.length - 1);
        return samples[below] + (place - below) * (samples[above] - samples[below]);
    }
}
