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
import dev.lithe.technique.reshape.Slice.Config;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SliceTest extends ModelTechniqueContract<Config> {
    private static final int WIDTH = 32;
    private static final int USED = 24;

    private final Slice slice = new Slice();

    @Override
    protected ModelTechnique<Config> technique() {
        return slice;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(0, 8), new Config(0.25, 8), new Config(0.4, 4));
    }

    @ParameterizedTest
    @MethodSource("models")
    void turnsWithoutLossWhereNothingGoes(TinyModel tiny, @TempDir Path folder) throws IOException {
        tiny.write(folder);
        assertThat(change(folder, new Config(0, 1))).isCloseTo(0, within(1e-4));
    }

    /// The stream has [#USED] axes of its own, none of them a channel's: all else goes unnoticed.
    @Test
    void dropsAxesThatNothingLiesIn(@TempDir Path folder) throws IOException {
        TinyModel model = model();
        Map<String, RawTensor> tensors = model.tensors();
        tensors.replaceAll((name, weight) ->
                switch (place(name)) {
                    case "columns" -> flat(weight, false);
                    case "rows" -> flat(weight, true);
                    default -> weight;
                });
        model.write(folder, model.config(), tensors);
        assertThat(change(folder, new Config(0.25, 8))).isCloseTo(0, within(1e-4));
        assertThat(change(folder, new Config(0.5, 8))).isNotCloseTo(0, within(1e-3));
    }

    private static String place(String name) {
        return name.contains("embed_tokens")
                ? "columns"
                : name.contains("o_proj") || name.contains("down_proj") ? "rows" : "";
    }

    /// Makes each of the last channels of the stream a copy of one before it.
    private static RawTensor flat(RawTensor weight, boolean rows) {
        float[] values = weight.floats();
        int width = Math.toIntExact(weight.shape().getLast());
        for (int i = 0; i < values.length; i++) {
            int channel = rows ? i / width : i % width;
            if (channel >= USED) {
                values[i] = values[i - USED * (rows ? width : 1)];
            }
        }
        return RawTensor.of(DType.F32, values, weight.shape().stream().mapToLong(n -> n).toArray());
    }

    private double change(Path folder, Config config) throws IOException {
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = slice.apply(before, config)) {
            return loss(made) - loss(before);
        }
    }

    private static double loss(WholeModel model) {
        try (var stack = new BlockStack(model, windows(300))) {
            return stack.without(stack.everything()).loss();
        }
    }

    @Test
    void theConfigurationTellsTheNewShapes() {
        ObjectNode model = model().tied().config();
        slice.configure(model, new Config(0.25, 8));
        assertThat(model.path("hidden_size").asInt()).isEqualTo(USED);
        assertThat(model.path("head_dim").asInt()).isEqualTo(8);
        assertThat(model.path("tie_word_embeddings").asBoolean()).isFalse();
    }

    @Test
    void sharesThatLeaveEverythingOrNothingAreRefused() {
        ObjectNode model = model().config();
        assertThatThrownBy(() -> slice.configure(model, new Config(0.1, WIDTH)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("remove 0.1 of 32 channels leaves 32");
        assertThatThrownBy(() -> slice.configure(model, new Config(0.9, WIDTH)))
                .hasMessageContaining("leaves 0");
        assertThatThrownBy(() -> new Config(1, 8)).hasMessageContaining("below 1");
        assertThatThrownBy(() -> new Config(0.5, 0)).hasMessageContaining("multiple_of");
    }
}
