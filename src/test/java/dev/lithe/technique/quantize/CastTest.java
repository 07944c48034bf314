package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CastTest extends LinearTechniqueContract<Cast.Config> {
    private final Cast cast = new Cast();

    @Override
    protected LinearTechnique<Cast.Config> technique() {
        return cast;
    }

    @Override
    protected List<Cast.Config> configurations() {
        return List.of(
                new Cast.Config(DType.F16),
                new Cast.Config(DType.BF16),
                new Cast.Config(DType.F32));
    }

    @Override
    protected List<List<Cast.Config>> growingBudgets() {
        return List.of(
                List.of(new Cast.Config(DType.BF16), new Cast.Config(DType.F32)),
                List.of(new Cast.Config(DType.F16), new Cast.Config(DType.F32)));
    }

    private Linear to(DType type, TensorScope scope, float... weights) {
        var before = new LinearForm.Dense(DType.F32);
        var dense = new Linear.Dense(scope.tensor(weights, 1, weights.length), null, before);
        var config = new Cast.Config(type);
        return cast.apply(dense, new LinearForm.Dense(type), config, scope);
    }

    @Test
    void roundsToTheNearest() {
        float[] weights = normal(500, 3);
        try (var scope = TensorScope.open()) {
            float[] half = ((Linear.Dense) to(DType.F16, scope, weights)).weight().floats();
            for (int i = 0; i < weights.length; i++) {
                assertThat(half[i])
                        .isEqualTo(Float.float16ToFloat(Float.floatToFloat16(weights[i])));
            }
        }
    }

    @Test
    void overflowIsRefusedWithAWayOut() {
        try (var scope = TensorScope.open()) {
            assertThatThrownBy(() -> to(DType.F16, scope, 1, -65_520f, 2))
                    .isInstanceOfSatisfying(
                            LitheException.class,
                            e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                    .hasMessageContaining("float16")
                    .hasMessageContaining("choose bfloat16");
            assertThatThrownBy(() -> to(DType.BF16, scope, 1, 3.4e38f))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("choose float32");
            assertThat(((Linear.Dense) to(DType.F16, scope, 65_519f)).weight().floats())
                    .containsExactly(65_504f);
        }
    }

    @Test
    void whatIsNoNumberStaysThatWay() {
        try (var scope = TensorScope.open()) {
            float[] weights = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 1};
            for (Cast.Config config : configurations()) {
                assertThat(((Linear.Dense) to(config.dtype(), scope, weights)).weight().floats())
                        .containsExactly(weights);
            }
        }
    }

    @Test
    void integersStayAsTheyAre() {
        var name = new LinearName("m", 0, Slot.O, 4, 8, false);
        var int8 = new LinearForm.Int8(DType.F16);
        assertThat(cast.outcome(name, int8, cast.defaults())).isEqualTo(int8);
        try (var scope = TensorScope.open()) {
            var stored =
                    new Linear.Int8(
                            scope.call("cast", scope.tensor(new float[8], 2, 4), DType.I8.code()),
                            scope.tensor(new float[2], 2, 1),
                            null,
                            int8);
            assertThat(cast.apply(stored, int8, cast.defaults(), scope)).isSameAs(stored);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"U8", "I8", "I16", "I32", "I64", "F64", "BOOL"})
    void typesThatWeightsDoNotHaveAreRefused(DType type) {
        assertThatThrownBy(() -> new Cast.Config(type))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(type.torchName())
                .hasMessageContaining("choose float16, bfloat16 or float32");
    }

    @Test
    void otherTensorsFollow() {
        assertThat(cast.otherTensors(DType.F32, cast.defaults())).isEqualTo(DType.F16);
    }
}
