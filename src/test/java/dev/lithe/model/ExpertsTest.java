package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
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
    private static final int VOCAB = 300;
    private static final int TOKENS = 12;
    private static final int CHANNELS = 96;
    private static final long SEED = 5;

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

    private static List<Optional<Instructions>> engines() {
        List<Optional<Instructions>> engines = new ArrayList<>(List.of(Optional.empty()));
        NativeLibrary.runnable().forEach(each -> engines.add(Optional.of(each)));
        return engines;
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

    private static float[] together(Path folder, Optional<Instructions> engine) {
        long[] ids = new Random(SEED).longs(TOKENS, 0, VOCAB).toArray();
        try (Decoder decoder = Decoder.open(folder, engine);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, TOKENS, scope);
            return decoder.forward(scope.tensor(ids, 1, TOKENS), 0, cache, true, scope).floats();
        }
    }

    private static float[] oneByOne(Path folder, Optional<Instructions> engine) {
        long[] ids = new Random(SEED).longs(TOKENS, 0, VOCAB).toArray();
        float[] all = new float[TOKENS * VOCAB];
        try (Decoder decoder = Decoder.open(folder, engine);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, TOKENS, scope);
            for (int i = 0; i < TOKENS; i++) {
                var next = scope.tensor(new long[] {ids[i]}, 1, 1);
                float[] row = decoder.forward(next, i, cache, true, scope).floats();
                System.arraycopy(row, 0, all, i * VOCAB, VOCAB);
            }
        }
        return all;
    }

    @ParameterizedTest
    @MethodSource("models")
    void allEnginesComputeTheSame(TinyModel model) throws IOException {
        float[] all = together(written(model, new Experts(6, 6), -1), Optional.empty());
        Path some = written(model, new Experts(6, 2), -1);
        float[] expected = together(some, Optional.empty());
        assertThat(expected).isNotEqualTo(all);
        for (Optional<Instructions> engine : engines()) {
            float[] logits = together(some, engine);
            assertClose(logits, expected, engine + " together");
            float[] single = oneByOne(some, engine);
            assertClose(single, expected, engine + " one by one");
            if (engine.isPresent()) {
                assertThat(single).as("%s", engine).isEqualTo(logits); // bit by bit
            }
        }
    }

    /// With all of them it is the model without a router; with the one that every token runs it is
    /// the model whose other channels lead nowhere. Experts of 8 channels are libtorch's alone.
    @ParameterizedTest
    @CsvSource({"6, 3", "12, 7", "1, 0"})
    void runsTheChannelsOfItsExperts(int count, int favourite) throws IOException {
        TinyModel model = TinyModel.small().width(32, CHANNELS);
        for (Optional<Instructions> engine : engines()) {
            float[] plain = together(model.write(folder), engine);
            Path every = written(model, new Experts(count, count), favourite);
            assertClose(oneByOne(every, engine), plain, "all experts, " + engine);

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
            float[] alone = together(model.write(folder, model.config(), cut), engine);
            Path one = written(model, new Experts(count, 1), favourite);
            assertClose(oneByOne(one, engine), alone, "one by one, " + engine);
            assertClose(together(one, engine), alone, "together, " + engine);
        }
    }

    private static void assertClose(float[] actual, float[] expected, String what) {
        for (int i = 0; i < expected.length; i++) {
            assertThat(actual[i]).as("%s, %d", what, i).isCloseTo(expected[i], within(2e-3f));
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
