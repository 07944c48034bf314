package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// [Gpt2Family].
class Gpt2FamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "gpt2";
    }

    @Override
    Map<String, String> refused() {
        Map<String, String> refused = new HashMap<>(OptFamilyTest.REFUSED);
        refused.put("tie_embeddings:samples=2", "tied already");
        return refused;
    }

    /// As on the hub: without `transformer.`, and with the masks that older versions stored.
    @Test
    void namesMayLackThePrefix(@TempDir Path folder) throws IOException {
        TinyModel model = model();
        Map<String, RawTensor> tensors = new LinkedHashMap<>();
        model.tensors()
                .forEach((name, tensor) ->
                        tensors.put(name.replaceFirst("^transformer\\.", ""), tensor));
        tensors.put("h.0.attn.bias", RawTensor.of(DType.F32, new float[16], 1, 1, 4, 4));
        try (Decoder decoder = Decoder.open(model.write(folder, model.config(), tensors))) {
            AgainstNaive.check(decoder, model);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "scale_attn_weights, false",
        "scale_attn_by_inverse_layer_idx, true",
        "add_cross_attention, true"
    })
    void whatChangesTheAttentionIsRefused(String key, boolean value) {
        ObjectNode config = model().config().put(key, value);
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining(key + " is " + value);
    }

    @Test
    void positionsCanBeQuantizedToo(@TempDir Path folder) throws IOException {
        TinyModel model = model();
        Path made = folder.resolve("made");
        try (Checkpoint source = Checkpoint.open(model.write(folder.resolve("model")))) {
            compress(source, "rtn:bits=8,group_size=16,targets=[\"re:.*\"]", made);
        }
        try (Checkpoint checkpoint = Checkpoint.open(made);
                Decoder decoder = Decoder.open(made);
                var scope = TensorScope.open()) {
            assertThat(checkpoint.has("transformer.wpe.weight_packed")).isTrue();
            int[] ids = {5, 4, 3, 2};
            double[] expected = Naive.of(model).logits(ids)[3];
            KvCache cache = decoder.newCache(1, ids.length, scope);
            float[] logits =
                    decoder.forward(AgainstNaive.ids(scope, ids), 0, cache, false, scope).floats();
            for (int i = 0; i < logits.length; i++) {
                assertThat((double) logits[i]).isCloseTo(expected[i], within(0.3));
            }
        }
    }

    @Test
    void fourTimesTheHiddenSizeIsUsual() {
        ObjectNode config = model().config();
        config.remove("n_inner");
        assertThat(ModelSpec.of(config, "config.json").intermediateSize()).isEqualTo(128);
    }

    @Test
    void fewerBlocksAreSaidUnderTheKeyOfTheArchitecture(@TempDir Path folder) throws IOException {
        Path made = folder.resolve("made");
        try (Checkpoint source = Checkpoint.open(model().write(folder.resolve("model")))) {
            compress(source, "depth_prune:remove=1,samples=2", made);
        }
        try (Checkpoint checkpoint = Checkpoint.open(made)) {
            assertThat(checkpoint.config().path("n_layer").asInt()).isEqualTo(2);
            assertThat(checkpoint.config().has("num_hidden_layers")).isFalse();
            assertThat(checkpoint.entry("transformer.h.1.attn.c_attn.weight").shape())
                    .containsExactly(32L, 96L);
        }
    }
}
