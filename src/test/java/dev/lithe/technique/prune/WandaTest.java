package dev.lithe.technique.prune;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.prune.Wanda.Config;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class WandaTest extends LinearTechniqueContract<Config> {
    private final Wanda wanda = new Wanda();

    @Override
    protected WeightTechnique<Config> technique() {
        return wanda;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                config(0.5, "unstructured", Storage.COMPACT),
                config(0.3, "unstructured", Storage.DENSE),
                config(0.97, "unstructured", Storage.COMPACT));
    }

    @Override
    protected List<List<Config>> growingBudgets() {
        return List.of(
                Stream.of(0.99, 0.8, 0.5, 0.2, 0.01)
                        .map(sparsity -> config(sparsity, "unstructured", Storage.COMPACT))
                        .toList(),
                Stream.of("1:8", "2:8", "4:8", "6:8", "31:32")
                        .map(pattern -> config(0.5, pattern, Storage.COMPACT))
                        .toList());
    }

    private static Config config(double sparsity, String pattern, Storage storage) {
        return new Config(sparsity, pattern, 0, storage, List.of(), List.of());
    }

    /// Inputs of sizes 4, 1, 1, 1: in a row, what moves the output least goes.
    @Test
    void comparesWeightsOfOneOutputByWhatTheirInputsAreWorth() {
        float[] weights = {1, -3, 2, 5, 1, 9, 8, 7};
        float[] hessian = new float[16];
        for (int i = 0; i < 4; i++) {
            hessian[i * 4 + i] = i == 0 ? 2 * 16 : 2;
        }
        try (var scope = TensorScope.open()) {
            assertThat(
                            Apply.to(
                                    wanda,
                                    config(0.5, "unstructured", Storage.COMPACT),
                                    weights,
                                    2,
                                    hessian,
                                    scope))
                    .containsExactly(1, 0, 0, 5, 0, 9, 8, 0);
            assertThat(
                            Apply.to(
                                    wanda,
                                    config(0.5, "1:2", Storage.DENSE),
                                    weights,
                                    2,
                                    hessian,
                                    scope))
                    .containsExactly(1, 0, 0, 5, 0, 9, 8, 0);
        }
    }
}
