package dev.lithe.technique.prune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.LinearName;
import dev.lithe.technique.Settings;
import dev.lithe.tensor.DType;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OwlTest {
    private static final double SPREAD = 0.08;

    private static Wanda.Config config(double spread, String pattern) {
        return new Wanda.Config(
                0.5, pattern, spread, Storage.COMPACT, List.of(), List.of("lm_head"));
    }

    /// Of three blocks the last has a hundred times larger weights here and there, so it keeps
    /// most.
    @Test
    void blocksWithOutliersKeepMore(@TempDir Path folder) throws IOException {
        TinyModel model = TinyModel.small().layers(3);
        Map<String, RawTensor> tensors = model.tensors();
        tensors.replaceAll((name, weight) -> {
            if (!name.matches(".*layers\\.2\\..*_proj.*")) {
                return weight;
            }
            float[] values = weight.floats();
            for (int i = 0; i < values.length; i += 20) {
                values[i] *= 100;
            }
            return RawTensor.of(
                    DType.F32, values, weight.shape().stream().mapToLong(n -> n).toArray());
        });
        model.write(folder, model.config(), tensors);
        var random = new Random(3);
        long[][] windows =
                Stream.generate(() -> random.longs(16, 0, 300).toArray())
                        .limit(4)
                        .toArray(long[][]::new);
        try (var source = Checkpoint.open(folder);
                var whole =
                        WholeModel.open(
                                source,
                                new CalibrationSet(new TextFile("none", "", ""), windows, 0))) {
            var settings = Settings.of(config(SPREAD, "unstructured"));
            Map<LinearName, Wanda.Config> settled = new Wanda().settle(whole, settings);
            assertThat(settled).hasSize(3 * 7);
            double[] sparsities = new double[3];
            settled.forEach((name, config) -> sparsities[name.block()] = config.sparsity());
            assertThat(sparsities[2]).isLessThan(Math.min(sparsities[0], sparsities[1]) - SPREAD);
            assertThat(Math.max(sparsities[0], sparsities[1]) - sparsities[2])
                    .isCloseTo(2 * SPREAD, within(1e-9));
            assertThat((sparsities[0] + sparsities[1] + sparsities[2]) / 3)
                    .isCloseTo(0.5, within(1e-9));
        }
    }

    @Test
    void spreadsThatCannotBeAreRefused() {
        assertThat(new Wanda().settles(config(0, "unstructured"))).isFalse();
        assertThatThrownBy(() -> config(0.3, "unstructured")).hasMessageContaining("spread is 0.3");
        assertThatThrownBy(() -> config(-0.1, "unstructured")).hasMessageContaining("spread");
        assertThatThrownBy(() -> config(0.05, "2:4")).hasMessageContaining("leave spread out");
    }
}
