package dev.lithe.technique.share;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.share.CodebookSharing.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class CodebookSharingTest extends LinearTechniqueContract<Config> {
    private final CodebookSharing codebook = new CodebookSharing();

    @Override
    protected WeightTechnique<Config> technique() {
        return codebook;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(config(3, false), config(4, true), config(2, false));
    }

    @Override
    protected boolean keepsSingleZeros() {
        return false;
    }

    @Override
    protected List<List<Config>> growingBudgets() {
        return List.of(IntStream.range(2, 7).mapToObj(bits -> config(bits, false)).toList());
    }

    private static Config config(int bits, boolean compensate) {
        return new Config(bits, 10, compensate, List.of(), List.of());
    }

    /// Four clusters, of which one weight lies between two: where its input is large it gets a
    /// number for itself and the others share.
    @Test
    void numbersGoWhereInputsAreLarge() {
        float[] weights = {0, 0.1f, 1, 1.1f, 2, 2.1f, 3, 3.4f};
        double[] alike = apply(weights, new float[] {1, 1, 1, 1, 1, 1, 1, 1});
        double[] last = apply(weights, new float[] {1, 1, 1, 1, 1, 1, 1, 10_000});
        assertThat(alike[7]).isCloseTo(3.2, within(1e-3));
        assertThat(last[7]).isCloseTo(3.4, within(1e-3));
    }

    private double[] apply(float[] weights, float[] sizes) {
        int k = weights.length;
        float[] hessian = new float[k * k];
        for (int i = 0; i < k; i++) {
            hessian[i * k + i] = sizes[i];
        }
        try (var scope = TensorScope.open()) {
            var form = new LinearForm.Dense(DType.F32);
            var dense = new Linear.Dense(scope.tensor(weights, 1, k), null, form);
            var seen = new InputStatistics(scope.tensor(hessian, k, k), 9, scope);
            var after = new LinearForm.Codebook(2, 0, false, DType.F32, DType.F32);
            return StoredWeights.of(
                    codebook.apply(dense, after, seen, config(2, false), scope).linear());
        }
    }
}
