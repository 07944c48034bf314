package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class Nf4Test extends LinearTechniqueContract<Nf4.Config> {
    private final Nf4 nf4 = new Nf4();

    private static Nf4.Config config(int group, boolean doubleQuant) {
        return new Nf4.Config(group, doubleQuant, Indivisible.INT8, List.of(), List.of());
    }

    @Override
    protected LinearTechnique<Nf4.Config> technique() {
        return nf4;
    }

    @Override
    protected List<Nf4.Config> configurations() {
        return List.of(config(64, false), config(32, true), config(0, false), config(0, true));
    }

    @Override
    protected List<List<Nf4.Config>> growingBudgets() {
        return List.of(
                Stream.of(0, 256, 128, 64, 32, 16, 8).map(group -> config(group, false)).toList(),
                List.of(config(64, true), config(64, false)));
    }

    @Test
    void storesTheNearestQuantile() {
        // scale 2; halves of the weights: -1, 1, 0, 0.0398 | 0.0397 (either side of 0.0795 / 2),
        // -0.5
        float[] w = {-2, 2, 0, 0.0797f, 0.0794f, -1, 1, -0.1f};
        try (var scope = TensorScope.open()) {
            var before = new LinearForm.Dense(DType.F32);
            var dense = new Linear.Dense(scope.tensor(w, 1, 8), null, before);
            var config = config(8, false);
            var name = new LinearName("down_proj", 0, Slot.DOWN, 1, 8, false);
            var made =
                    (Linear.Codebook)
                            nf4.apply(dense, nf4.outcome(name, before, config), config, scope);
            // indices 0 15 7 8 7 2 12 6, the first in the lowest four bits
            assertThat(made.indices().longs()).containsExactly(0x6c2787f0);
            assertThat(StoredWeights.of(made)[3]).isEqualTo(2 * 0.07958029955625534);
        }
    }
}
