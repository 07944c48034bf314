package dev.lithe.technique.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.prune.Magnitude.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MagnitudeTest extends LinearTechniqueContract<Config> {
    private final Magnitude magnitude = new Magnitude();

    @Override
    protected WeightTechnique<Config> technique() {
        return magnitude;
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

    static Config config(double sparsity, String pattern, Storage storage) {
        return new Config(sparsity, pattern, storage, List.of(), List.of());
    }

    @Test
    void theSmallestGoAndTheOthersStayAsTheyAre() {
        float[] weights = {1, -8, 3, 0.5f, -2, 7, -6, 5};
        try (var scope = TensorScope.open()) {
            assertThat(
                            Apply.to(
                                    magnitude,
                                    config(0.5, "unstructured", Storage.DENSE),
                                    weights,
                                    2,
                                    scope))
                    .containsExactly(0, -8, 0, 0, 0, 7, -6, 5);
            assertThat(Apply.to(magnitude, config(0.5, "2:4", Storage.COMPACT), weights, 2, scope))
                    .containsExactly(0, -8, 3, 0, 0, 7, -6, 0);
            assertThat(Apply.to(magnitude, config(0.5, "1:4", Storage.DENSE), weights, 2, scope))
                    .containsExactly(0, -8, 0, 0, 0, 7, 0, 0);
        }
    }

    @ParameterizedTest
    @CsvSource({"0.5, 4608", "0.97, 492", "0.02, 8192"})
    void isWrittenAsSmallAsItGets(double sparsity, long bytes) {
        LinearForm form =
                magnitude.outcome(
                        new LinearName("q_proj", 0, Slot.QKV, 64, 64, false),
                        new LinearForm.Dense(DType.F16),
                        config(sparsity, "unstructured", Storage.COMPACT));
        assertThat(form.bytes(64, 64)).isBetween(bytes, bytes + 320);
    }

    @ParameterizedTest
    @ValueSource(strings = {"2:2", "3:2", "0:4", "2:64", "half", "2:4:8", "-1:4", "", "2:4 "})
    void otherPatternsAreRefused(String pattern) {
        assertThatThrownBy(() -> config(0.5, pattern, Storage.COMPACT))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("like 2:4");
    }

    @Test
    void whatContradictsOrDoesNotDivideIsRefused() {
        assertThatThrownBy(() -> config(0.6, "2:4", Storage.COMPACT))
                .hasMessageContaining("leave sparsity out");
        for (double sparsity : new double[] {0, 1, -0.5, Double.NaN}) {
            assertThatThrownBy(() -> config(sparsity, "unstructured", Storage.COMPACT))
                    .hasMessageContaining("above 0 and below 1");
        }
        var odd = new LinearName("q_proj", 0, Slot.QKV, 4, 6, false);
        Config pattern = config(0.5, "2:4", Storage.COMPACT);
        var dense = new LinearForm.Dense(DType.F16);
        assertThatThrownBy(() -> magnitude.outcome(odd, dense, pattern))
                .hasMessageContaining("2:4 does not divide 6 inputs");
        assertThatThrownBy(() -> magnitude.outcome(odd, new LinearForm.Int8(DType.F16), pattern))
                .hasMessageContaining("already int8");
    }
}
