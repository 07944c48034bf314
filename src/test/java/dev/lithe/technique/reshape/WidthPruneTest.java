package dev.lithe.technique.reshape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.WidthPrune.Config;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

class WidthPruneTest extends ModelTechniqueContract<Config> {
    private final WidthPrune widthPrune = new WidthPrune();

    @Override
    protected ModelTechnique<Config> technique() {
        return widthPrune;
    }

    @Override
    protected List<Config> configurations() {
        return Arrays.stream(Importance.values())
                .flatMap(criterion ->
                        List.of(
                                new Config(0.25, 0, criterion, true, 16, 0),
                                new Config(0, 0.5, criterion, true, 16, 0),
                                new Config(0.5, 0.25, criterion, false, 8, 0))
                                .stream())
                .toList();
    }

    /// Channels 8 to 23 and head 1 reach nothing, so every criterion but chance removes them, and
    /// the model answers as before.
    @ParameterizedTest
    @EnumSource(
            mode = Mode.EXCLUDE,
            names = {"RANDOM", "MINITRON"})
    void removesWhatReachesNothing(Importance criterion, @TempDir Path folder) throws IOException {
        TinyModel model = model();
        Map<String, RawTensor> tensors = model.tensors();
        tensors.replaceAll((name, weight) -> {
            boolean down = name.contains("down_proj");
            boolean ffn = down || name.contains("gate_proj") || name.contains("up_proj");
            boolean heads = name.matches(".*[qkvo]_proj.weight");
            if (!ffn && !heads) {
                return weight;
            }
            boolean columns = down || name.contains("o_proj");
            float[] values = weight.floats();
            int width = Math.toIntExact(weight.shape().getLast());
            for (int i = 0; i < values.length; i++) {
                int channel = columns ? i % width : i / width;
                if (ffn ? channel >= 8 && channel < 24 : channel / 8 == 1) {
                    values[i] *= columns ? 0 : 0.01f;
                }
            }
            return RawTensor.of(
                    DType.F32, values, weight.shape().stream().mapToLong(n -> n).toArray());
        });
        model.write(folder, model.config(), tensors);
        for (boolean compensate : new boolean[] {true, false}) {
            try (var source = Checkpoint.open(folder);
                    var before = WholeModel.open(source, windows(300));
                    var made =
                            widthPrune.apply(
                                    before, new Config(0.25, 0.25, criterion, compensate, 8, 0))) {
                assertThat(made.spec().intermediateSize()).isEqualTo(48);
                assertThat(made.spec().heads()).isEqualTo(3);
                assertThat(made.spec().headDim()).isEqualTo(8);
                assertThat(loss(made)).isCloseTo(loss(before), within(1e-4));
            }
        }
    }

    private static double loss(WholeModel model) {
        try (var stack = new BlockStack(model, windows(300))) {
            return stack.without(stack.everything()).loss();
        }
    }

    @Test
    void sharesThatLeaveEverythingOrNothingAreRefused() {
        ObjectNode model = model().config();
        assertThatThrownBy(() -> widthPrune.configure(model, config(0.1, 0, 32)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("ffn 0.1 of 64 leaves 64");
        assertThatThrownBy(() -> widthPrune.configure(model, config(0.9, 0, 64)))
                .hasMessageContaining("leaves 0");
        assertThatThrownBy(() -> widthPrune.configure(model, config(0, 0.9, 1)))
                .hasMessageContaining("heads 0.9 of 4 leaves 0");
        assertThatThrownBy(() -> config(0, 0, 1)).hasMessageContaining("both 0");
        assertThatThrownBy(() -> config(1, 0, 1)).hasMessageContaining("below 1");
        assertThatThrownBy(() -> config(0.5, 0, 0)).hasMessageContaining("multiple_of");
    }

    private static Config config(double ffn, double heads, int multiple) {
        return new Config(ffn, heads, Importance.FLAP, true, multiple, 0);
    }
}
