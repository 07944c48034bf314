package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Instructions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Models whose tokens run some experts, by libtorch and by the native kernels.
class ExpertsTest {
    private static final int CHANNELS = 96;

    @TempDir private Path folder;

    static Stream<TinyModel> models() {
        TinyModel tiny = TinyModel.small().width(32, CHANNELS);
        return Stream.of(
                tiny,
                TinyModel.small().width(32, CHANNELS).dtype(DType.F16),
                TinyModel.small().width(32, CHANNELS).dtype(DType.BF16).heads(4, 1, 12),
                TinyModel.small().width(36, CHANNELS).heads(6, 2, 10).biases(),
                TinyModel.of("phi3").width(32, CHANNELS));
    }

    /// @param favourite an expert that every token runs first, or -1
    private Path written(TinyModel model, Experts experts, int favourite) throws IOException {
        ObjectNode config = model.config();
        experts.describe(config);
        Map<String, RawTensor> tensors = model.tensors();
        int d = config.path("hidden_size").asInt();
        var random = new Random(3);
        for (int i = 0; i < config.path("num_hidden_layers").asInt(); i++) {
            String router = "model.layers." + i + ".mlp.router.";
            float[] weight = new float[experts.count() * d];
            for (int j = 0; j < weight.length; j++) {
                weight[j] = (float) random.nextGaussian();
            }
            float[] bias = new float[experts.count()];
            if (favourite >= 0) {
                bias[favourite] = 1e4f;
            }
            tensors.put(router + "weight", RawTensor.of(DType.F32, weight, experts.count(), d));
            tensors.put(router + "bias", RawTensor.of(DType.F32, bias, experts.count()));
        }
        return model.write(folder, config, tensors);
    }

    @ParameterizedTest
    @MethodSource("models")
    void allEnginesComputeTheSame(TinyModel model) throws IOException {
        float[] all = Logits.together(written(model, new Experts(6, 6), -1), Optional.empty());
        Path some = written(model, new Experts(6, 2), -1);
        float[] expected = Logits.together(some, Optional.empty());
        assertThat(expected).isNotEqualTo(all);
        Logits.requireAlike(some);
    }

    /// With all of them it is the model without a router; with the one that every token runs it is
    /// the model whose other channels lead nowhere. Experts of 8 channels are libtorch's alone.
    @ParameterizedTest
    @CsvSource({"6, 3", "12, 7", "1, 0"})
    void runsTheChannelsOfItsExperts(int count, int favourite) throws IOException {
        TinyModel model = TinyModel.small().width(32, CHANNELS);
        for (Optional<Instructions> engine : Logits.engines()) {
            float[] plain = Logits.together(model.write(folder), engine);
            Path every = written(model, new Experts(count, count), favourite);
            Logits.requireClose(Logits.oneByOne(every, engine), plain, "all experts, " + engine);

            Map<String, RawTensor> cut = model.tensors();
            int width = CHANNELS / count;
            cut.replaceAll((name, tensor) -> {
                if (!name.endsWith("down_proj.weight")) {
                    return tensor;
                }
                float[] weight = tensor.floats().clone();
                for (int i = 0; i < weight.length; i++) {
                    weight[i] = i % CHANNELS / width == favourite ? weight[i] : 0;
                }
                return RawTensor.of(DType.F32, weight, 32, CHANNELS);
            });
            float[] alone = Logits.together(model.write(folder, model.config(), cut), engine);
            Path one = written(model, new Experts(count, 1), favourite);
            Logits.requireClose(Logits.oneByOne(one, engine), alone, "one by one, " + engine);
            Logits.requireClose(Logits.together(one, engine), alone, "together, " + engine);
        }
    }

    @Test
    void refusesNonsense() {
        ObjectNode config = TinyModel.small().width(32, CHANNELS).config();
        for (Experts wrong : List.of(new Experts(5, 2), new Experts(6, 7))) {
            wrong.describe(config);
            assertThatThrownBy(() -> ModelSpec.of(config, "c.json"))
                    .hasMessageContaining(
                            "c.json: lithe_experts has %d experts, %d of them active"
                                    .formatted(wrong.count(), wrong.active()));
        }
        config.putObject("lithe_experts").put("format", "lithe.experts/v9");
        assertThatThrownBy(() -> ModelSpec.of(config, "c.json"))
                .hasMessageContaining("format 'lithe.experts/v9'");
        new Experts(6, 2).describe(config);
        assertThat(ModelSpec.of(config, "c.json").experts()).isEqualTo(new Experts(6, 2));
        Experts.NONE.describe(config);
        assertThat(config.has("lithe_experts")).isFalse();
    }
}
