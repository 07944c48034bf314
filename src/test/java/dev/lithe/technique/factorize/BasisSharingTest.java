package dev.lithe.technique.factorize;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.factorize.BasisSharing.Config;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BasisSharingTest extends ModelTechniqueContract<Config> {
    private final BasisSharing basisSharing = new BasisSharing();

    @Override
    protected ModelTechnique<Config> technique() {
        return basisSharing;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(0.2, 2, 1), new Config(0.6, 3, 4));
    }

    /// Blocks 0 to 2 have a basis, block 3 one of its own.
    @Test
    void aGroupHasOneBasis(@TempDir Path folder) throws IOException {
        TinyModel model = TinyModel.small().layers(4).width(32, 64).heads(4, 4, 8);
        model.write(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = basisSharing.apply(before, new Config(0.4, 3, 1))) {
            for (int i = 0; i < 4; i++) {
                var part = made.blocks().get(i);
                var name = part.part().linears(Slot.GATE_UP).getFirst();
                var linear = (Linear.LowRank) part.linear(name);
                String owner = "model.layers.0.mlp.gate_proj.right";
                if (i == 1 || i == 2) {
                    assertThat(linear.form().right())
                            .isInstanceOfSatisfying(
                                    LinearForm.Shared.class,
                                    shared -> assertThat(shared.owner()).isEqualTo(owner));
                } else {
                    assertThat(linear.form().right()).isInstanceOf(LinearForm.Dense.class);
                }
                // 0.6 · 3 · 64 · 32 / (32 + 3 · 64), and of a block alone 0.6 · 64 · 32 / 96
                assertThat(linear.form().rank()).isEqualTo(i < 3 ? 16 : 12);
            }
        }
    }
}
