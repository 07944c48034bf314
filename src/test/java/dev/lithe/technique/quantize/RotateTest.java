package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.BlockTechniqueContract;
import dev.lithe.technique.Settings;
import dev.lithe.technique.quantize.Rotate.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Exactness on models of all kinds comes from the contract.
class RotateTest extends BlockTechniqueContract<Config> {
    private static final LinearName NAME =
            new LinearName("model.layers.0.mlp.down_proj", 0, Slot.DOWN, 32, 48, false);

    private final Rotate rotate = new Rotate();

    @Override
    protected BlockTechnique<Config> technique() {
        return rotate;
    }

    @Override
    protected List<Settings<Config>> settings() {
        return List.of(Settings.of(new Config(0)), Settings.of(new Config(7)));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 12, 60, 64, 96})
    void isOrthogonalAtEverySize(int d) {
        try (var scope = TensorScope.open()) {
            double[][] r = matrix(d, 3, scope);
            for (int i = 0; i < d; i++) {
                for (int j = 0; j < d; j++) {
                    double dot = 0;
                    for (int k = 0; k < d; k++) {
                        dot += r[i][k] * r[j][k];
                    }
                    assertThat(dot).isCloseTo(i == j ? 1 : 0, within(1e-6));
                }
            }
            assertThat(matrix(d, 3, scope)).isDeepEqualTo(r);
            if (d > 2) {
                assertThat(matrix(d, 4, scope)).isNotEqualTo(r);
            }
        }
    }

    @Test
    void spreadsAnOutlierEvenly() {
        try (var scope = TensorScope.open()) {
            for (double entry : matrix(64, 3, scope)[5]) {
                assertThat(Math.abs(entry)).isCloseTo(0.125, within(1e-6));
            }
        }
    }

    /// The rotation as rows, from rotating the unit vectors.
    private static double[][] matrix(int d, long seed, TensorScope scope) {
        float[] identity = new float[d * d];
        for (int i = 0; i < d; i++) {
            identity[i * d + i] = 1;
        }
        var unit =
                new Linear.Dense(
                        scope.tensor(identity, d, d), null, new LinearForm.Dense(DType.F32));
        float[] rows = new Rotation(d, new Random(seed), scope).rows(unit, scope).weight().floats();
        double[][] matrix = new double[d][d];
        for (int i = 0; i < d * d; i++) {
            matrix[i / d][i % d] = rows[i];
        }
        return matrix;
    }

    @Test
    void refusesTiedAndQuantizedModelsWithTheWayOut() {
        ModelSpec tied = ModelSpec.of(TinyModel.small().tied().config(), "config.json");
        assertThatThrownBy(() -> rotate.checkModel(tied, new Config(0)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("tie_word_embeddings")
                .hasMessageContaining("leave rotate out");
        var int8 = new LinearForm.Int8(DType.F16);
        assertThatThrownBy(() -> rotate.outcome(NAME, int8, new Config(0)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("put rotate before");
    }
}
