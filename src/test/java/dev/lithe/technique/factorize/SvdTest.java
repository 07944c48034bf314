package dev.lithe.technique.factorize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.Weighting;
import dev.lithe.technique.factorize.Svd.Allocation;
import dev.lithe.technique.factorize.Svd.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class SvdTest extends LinearTechniqueContract<Config> {
    private static final LinearForm FLOAT = new LinearForm.Dense(DType.F32);

    private final Svd svd = new Svd();

    @Override
    protected WeightTechnique<Config> technique() {
        return svd;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                config(0.2, Weighting.WHITENED),
                config(0.6, Weighting.ASVD),
                config(0.4, Weighting.NONE));
    }

    @Override
    protected boolean keepsSingleZeros() {
        return false;
    }

    @Override
    protected List<List<Config>> growingBudgets() {
        return List.of(
                Stream.of(0.9, 0.7, 0.5, 0.2, 0.01)
                        .map(remove -> config(remove, Weighting.WHITENED))
                        .toList());
    }

    private static Config config(double remove, Weighting weighting) {
        return new Config(remove, 0, weighting, 0.5, Allocation.UNIFORM, 1, List.of(), List.of());
    }

    private static LinearName name(int n, int k) {
        return new LinearName("model.layers.0.mlp.down_proj", 0, Slot.DOWN, n, k, false);
    }

    @Test
    void ranksFollowFromTheShareThatGoes() {
        Config config = config(0.2, Weighting.NONE);
        assertThat(svd.outcome(name(256, 256), FLOAT, config))
                .isEqualTo(new LinearForm.LowRank(FLOAT, 102));
        assertThat(svd.outcome(name(768, 256), FLOAT, config))
                .isEqualTo(new LinearForm.LowRank(FLOAT, 153));
        assertThat(svd.outcome(name(2, 2), FLOAT, config)).isEqualTo(FLOAT);
    }

    @Test
    void refusesRanksThatEnlarge() {
        // 256 · 768 / (256 + 768) = 192 is no gain
        Config config = config(0.2, Weighting.NONE);
        assertThat(svd.outcome(name(256, 768), FLOAT, config.withRank(191)).bytes(256, 768))
                .isLessThan(FLOAT.bytes(256, 768));
        assertThatThrownBy(() -> svd.outcome(name(256, 768), FLOAT, config.withRank(192)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("choose at most 191");
    }

    @Test
    void refusesToLeaveNothing() {
        Config least = config(0.9947, Weighting.NONE);
        assertThat(svd.outcome(name(256, 768), FLOAT, least))
                .isEqualTo(new LinearForm.LowRank(FLOAT, 1));
        Config none = config(0.9999, Weighting.NONE);
        assertThatThrownBy(() -> svd.outcome(name(256, 768), FLOAT, none))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("choose at most 0.9947");
    }

    /// Weights of rank 2 come back from two factors of rank 2, whatever the inputs.
    @Test
    void findsWhatIsThere() {
        float[] left = normal(12 * 2, 1);
        float[] right = normal(2 * 10, 2);
        float[] weights = new float[12 * 10];
        for (int i = 0; i < weights.length; i++) {
            for (int r = 0; r < 2; r++) {
                weights[i] += left[i / 10 * 2 + r] * right[r * 10 + i % 10];
            }
        }
        for (Weighting weighting : Weighting.values()) {
            double[] after = apply(weights, 12, hessian(10, 3), config(0.2, weighting), 2);
            for (int i = 0; i < weights.length; i++) {
                assertThat(after[i]).isCloseTo(weights[i], within(1e-4));
            }
        }
    }

    /// What outputs lose, tr (W - W') H (W - W')ᵀ, is least when whitened: no other product of that
    /// rank does better (Eckart, Young).
    @Test
    void whitenedLosesLeastOfTheOutputs() {
        float[] weights = normal(24 * 16, 4);
        float[] hessian = hessian(16, 5);
        double whitened = outputs(weights, hessian, Weighting.WHITENED);
        double asvd = outputs(weights, hessian, Weighting.ASVD);
        double plain = outputs(weights, hessian, Weighting.NONE);
        assertThat(whitened).isLessThan(0.99 * asvd);
        assertThat(asvd).isLessThan(0.99 * plain);
    }

    /// An input that is always 0 makes H singular.
    @Test
    void takesInputsThatAreNeverSeen() {
        float[] hessian = hessian(16, 6);
        for (int i = 0; i < 16; i++) {
            hessian[i * 16 + 3] = 0;
            hessian[3 * 16 + i] = 0;
        }
        for (double after :
                apply(normal(24 * 16, 7), 24, hessian, config(0.4, Weighting.WHITENED), 5)) {
            assertThat(after).isFinite();
        }
    }

    private double outputs(float[] weights, float[] hessian, Weighting weighting) {
        double[] after = apply(weights, 24, hessian, config(0.4, weighting), 5);
        double sum = 0;
        for (int row = 0; row < 24; row++) {
            for (int i = 0; i < 16; i++) {
                for (int j = 0; j < 16; j++) {
                    sum +=
                            (weights[row * 16 + i] - after[row * 16 + i])
                                    * hessian[i * 16 + j]
                                    * (weights[row * 16 + j] - after[row * 16 + j]);
                }
            }
        }
        return sum;
    }

    private double[] apply(float[] weights, int n, float[] hessian, Config config, int rank) {
        int k = weights.length / n;
        try (var scope = TensorScope.open()) {
            var dense =
                    new Linear.Dense(
                            scope.tensor(weights, n, k), null, new LinearForm.Dense(DType.F32));
            var seen = new InputStatistics(scope.tensor(hessian, k, k), 100, scope);
            var form = new LinearForm.LowRank(FLOAT, rank);
            return StoredWeights.of(svd.apply(dense, form, seen, config, scope).linear());
        }
    }

    /// Of inputs of very different sizes that depend on each other.
    private static float[] hessian(int k, long seed) {
        float[] x = normal(k * 64, seed);
        for (int i = 1; i < k; i++) {
            for (int t = 0; t < 64; t++) {
                x[i * 64 + t] = Math.scalb(x[i * 64 + t], i % 5) + x[(i - 1) * 64 + t];
            }
        }
        float[] hessian = new float[k * k];
        for (int i = 0; i < k * k; i++) {
            for (int t = 0; t < 64; t++) {
                hessian[i] += x[i / k * 64 + t] * x[i % k * 64 + t] / 32;
            }
        }
        return hessian;
    }
}
