package dev.lithe.route;

import java.util.List;
import org.apache.commons.statistics.distribution.ChiSquaredDistribution;

/// Pearson's chi-squared test of what variants got against their shares. A mismatch says that
/// something other than the weights decides who gets what, which spoils an experiment (Fabijan et
/// al. 2019, "Diagnosing Sample Ratio Mismatch").
///
/// @param pValue how likely so large a difference is by chance; 1 where there is nothing to test
public record SampleRatio(double chiSquared, double pValue) {
    private static final double SUSPICIOUS = 0.001;

    /// @param answered counts of the variants
    /// @param shares theirs, together 1
    static SampleRatio of(List<Long> answered, List<Double> shares) {
        long total = answered.stream().mapToLong(Long::longValue).sum();
        double chiSquared = 0;
        int freedom = -1;
        for (int i = 0; i < answered.size(); i++) {
            double expected = total * shares.get(i);
            if (expected > 0) {
                double off = answered.get(i) - expected;
                chiSquared += off * off / expected;
                freedom++;
            }
        }
        if (freedom < 1) {
            return new SampleRatio(0, 1);
        }
        var distribution = ChiSquaredDistribution.of(freedom);
        return new SampleRatio(chiSquared, distribution.survivalProbability(chiSquared));
    }

    /// Whether chance alone would do this less than once in a thousand times.
    public boolean mismatch() {
        return pValue < SUSPICIOUS;
    }
}
