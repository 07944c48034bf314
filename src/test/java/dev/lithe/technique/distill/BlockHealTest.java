package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.distill.BlockHeal.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BlockHealTest extends ModelTechniqueContract<Config> {
    private final BlockHeal heal = new BlockHeal();

    @Override
    protected ModelTechnique<Config> technique() {
        return heal;
    }

    private static Config config(int steps, int rank) {
        return new Config(rank, new Schedule(steps, 4, rank == 0 ? 1e-3 : 1e-2, 0, DType.F32));
    }

    @Override
    protected List<Config> configurations() {
        return List.of(config(2, 2), new Config(0, new Schedule(2, 2, 1e-3, 1, DType.BF16)));
    }

    /// What was lost in the blocks comes back.
    @ParameterizedTest
    @ValueSource(strings = {"thin 4", "int4 4", "pruned 0", "thin 0"})
    void blocksComeBack(String what, @TempDir Path folder) throws IOException {
        String form = what.split(" ")[0];
        int rank = Integer.parseInt(what.split(" ")[1]);
        try (Checkpoint source = Checkpoint.open(model().write(folder));
                WholeModel original = WholeModel.open(source, windows(300), bench(source));
                WholeModel before = Forms.of(form, original);
                WholeModel made = heal.apply(before, config(80, rank))) {
            assertThat(loss(made, original)).isLessThan(0.9 * loss(before, original));
            assertThat(made.rewritten().get("training.json").path("curves")).hasSize(4);
        }
    }

    private static double loss(WholeModel model, WholeModel original) {
        try (var scope = TensorScope.open()) {
            FlatModel pupil = FlatModel.frozen(model, 20, DType.F32, scope);
            FlatModel oracle = FlatModel.frozen(original, 20, DType.F32, scope);
            return new Gradient(pupil, oracle, Loss.KL.at(1), 20, scope)
                    .loss(windows(300).windows(), null);
        }
    }

    @Test
    void refusesWhatCannotBe(@TempDir Path folder) throws IOException {
        var q = new LinearName("q", 0, LinearName.Slot.QKV, 32, 32, false);
        var dense = new LinearForm.Dense(DType.F32);
        var thin = new LinearForm.LowRank(null, new LinearForm.Shared(dense, "p"), dense, 2);
        ModelSpec spec = ModelSpec.of(model().config(), "tiny");
        assertThatThrownBy(() -> heal.outcome(spec, q, thin, config(1, 2)))
                .hasMessageContaining("share weights, which no block can train alone");
        Path deeper = model().layers(5).write(folder.resolve("deeper"));
        try (Checkpoint source = Checkpoint.open(model().write(folder.resolve("model")));
                Checkpoint other = Checkpoint.open(deeper);
                WholeModel model = WholeModel.open(source, windows(300), bench(other))) {
            assertThatThrownBy(() -> heal.apply(model, config(1, 2)))
                    .hasMessageContaining(
                            "the original has 5 blocks of width 32, and this model 4");
        }
    }
}
