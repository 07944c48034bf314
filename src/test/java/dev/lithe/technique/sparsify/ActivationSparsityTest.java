package dev.lithe.technique.sparsify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.ActivationThresholds;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.sparsify.ActivationSparsity.Config;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ActivationSparsityTest extends ModelTechniqueContract<Config> {
    private static final int SAMPLES = 6;

    @Override
    protected ModelTechnique<Config> technique() {
        return new ActivationSparsity();
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(0.4, SAMPLES, 0), new Config(0.9, 2, 3));
    }

    /// Counted on the windows that it looked at, every block leaves as much unread as was asked
    /// for.
    @ParameterizedTest
    @ValueSource(doubles = {0.25, 0.5, 0.9})
    void leavesTheAskedShareUnread(double sparsity, @TempDir Path folder) throws IOException {
        TinyModel tiny = model();
        tiny.write(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300), bench(source));
                var made = technique().apply(before, new Config(sparsity, SAMPLES, 0))) {
            ActivationThresholds found = made.spec().thresholds();
            assertThat(found.ofBlocks()).hasSize(4);
            before.walk(part -> {
                if (part.part().kind() == Kind.BLOCK) {
                    double unread = 0;
                    double all = 0;
                    for (Slot slot : ActivationThresholds.SLOTS) {
                        double least = found.of(part.part().block()).get(slot.ordinal());
                        long[] counts = new long[2];
                        part.show(
                                slot,
                                (x, _) -> {
                                    for (float number : x.floats()) {
                                        counts[0] += Math.abs(number) < least ? 1 : 0;
                                        counts[1]++;
                                    }
                                });
                        double weights =
                                part.part().linears(slot).stream()
                                        .mapToLong(n -> n.weights())
                                        .sum();
                        unread += weights * counts[0] / counts[1];
                        all += weights;
                    }
                    assertThat(unread / all).isCloseTo(sparsity, within(0.01));
                }
            });
        }
    }

    /// A model that already has thresholds is measured as if it had none.
    @Test
    void twiceIsOnce(@TempDir Path folder) throws IOException {
        model().write(folder);
        Config config = new Config(0.5, SAMPLES, 0);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300), bench(source));
                var once = technique().apply(before, config);
                var twice = technique().apply(once, config)) {
            assertThat(twice.spec()).isEqualTo(once.spec());
            assertThat(once.spec()).isNotEqualTo(before.spec());
        }
    }

    @Test
    void refusesWhatItCannotDo() {
        for (double sparsity : new double[] {0, -0.1, 0.91, 1, Double.NaN}) {
            assertThatThrownBy(() -> new Config(sparsity, 1, 0))
                    .hasMessageContaining("sparsity is " + sparsity);
        }
        assertThatThrownBy(() -> new Config(0.4, 0, 0)).hasMessageContaining("samples is 0");
        assertThatThrownBy(() -> new Config(0.4, 1, -1))
                .hasMessageContaining("dense_positions is -1");
        ObjectNode config = model().config();
        technique().configure(config, new Config(0.4, 1, 2));
        assertThat(config.path("lithe_activation_sparsity").path("thresholds")).hasSize(4);
    }
}
