package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.fault.LitheException;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.BlockTechniqueContract;
import dev.lithe.technique.Settings;
import dev.lithe.technique.quantize.SmoothQuant.Config;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import org.junit.jupiter.api.Test;

/// What it is good for is measured on the demo.
class SmoothQuantTest extends BlockTechniqueContract<Config> {
    private final SmoothQuant smoothQuant = new SmoothQuant();

    @Override
    protected BlockTechnique<Config> technique() {
        return smoothQuant;
    }

    @Override
    protected List<Settings<Config>> settings() {
        return List.of(
                Settings.of(new Config(0.8, false, List.of(), List.of())),
                Settings.of(new Config(0.5, true, List.of(), List.of("lm_head", "k_proj"))),
                Settings.of(new Config(0, false, List.of("down_proj"), List.of())));
    }

    @Test
    void scalesFollowThePapersFormula() {
        try (var scope = TensorScope.open()) {
            Value peak = scope.tensor(new float[] {4, 0.25f, 0}, 3);
            Value one = scope.tensor(new float[] {1, -9, 2, 0.5f, 4, 2}, 2, 3);
            Value other = scope.tensor(new float[] {-16, 1, 2}, 1, 3);
            Value weights = scope.list(List.of(one, other));
            float[] s = scope.call("smoothing", peak, weights, 0.75).floats();
            assertThat(s[0]).isCloseTo((float) (Math.pow(4, 0.75) / 2), within(1e-5f));
            assertThat(s[1])
                    .isCloseTo((float) (Math.pow(0.25, 0.75) / Math.pow(9, 0.25)), within(1e-5f));
            assertThat(s[2]).as("a channel without inputs").isEqualTo(1);
        }
    }

    @Test
    void aNormIsDividedAsItIsStored() {
        try (var scope = TensorScope.open()) {
            Value norm = scope.tensor(new float[] {1, 0, 1e-3f, -2}, 4);
            Value s = scope.tensor(new float[] {3, 5, 1e-9f, 0.7f}, 4);
            List<Value> folded = scope.call("fold_norm", norm, s, 5).members();
            float[] after = folded.getFirst().floats();
            float[] exact = folded.getLast().floats();
            assertThat(after[0]).isEqualTo(Float.float16ToFloat(Float.floatToFloat16(1 / 3f)));
            assertThat(after[0] * exact[0]).isCloseTo(1, within(1e-6f));
            assertThat(after[1]).as("a dead channel").isZero();
            assertThat(exact[1]).isEqualTo(1);
            assertThat(after[2]).as("too large for float16").isEqualTo(1e-3f);
            assertThat(exact[2]).isEqualTo(1);
            assertThat(after[3] * exact[3]).isCloseTo(-2, within(1e-6f));
        }
    }

    @Test
    void refusesAnAlphaThatIsNoShare() {
        for (double alpha : new double[] {-0.1, 1.1, Double.NaN}) {
            assertThatThrownBy(() -> new Config(alpha, false, List.of(), List.of()))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("0 to 1");
        }
    }
}
