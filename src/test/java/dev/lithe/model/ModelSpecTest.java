package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.tensor.DType;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Settings that models leave out or write in another way.
class ModelSpecTest {
    private final ObjectNode config = TinyModel.small().config();

    private ModelSpec spec() {
        return ModelSpec.of(config, "config.json");
    }

    @Test
    void fillsInWhatOlderModelsLeaveOut() {
        config.remove(
                List.of(
                        "head_dim",
                        "num_key_value_heads",
                        "hidden_act",
                        "tie_word_embeddings",
                        "attention_bias",
                        "mlp_bias",
                        "rope_theta",
                        "bos_token_id",
                        "eos_token_id",
                        "torch_dtype"));
        ModelSpec spec = spec();
        assertThat(spec.headDim()).isEqualTo(8);
        assertThat(spec.kvHeads()).isEqualTo(4);
        assertThat(spec.ropeTheta()).isEqualTo(10_000);
        assertThat(spec.tiedEmbeddings()).isFalse();
        assertThat(spec.style().inputBias()).isFalse();
        assertThat(spec.bosToken()).isNull();
        assertThat(spec.eosTokens()).isEmpty();
        assertThat(spec.dtype()).isEqualTo(DType.F32);
    }

    @Test
    void takesNullForAbsent() {
        config.putNull("head_dim").putNull("rope_scaling").putNull("bos_token_id");
        config.putNull("quantization_config").putNull("attention_bias");
        assertThat(spec().headDim()).isEqualTo(8);
        assertThat(spec().ropeScaling()).isNull();
        assertThat(spec().bosToken()).isNull();
    }

    @Test
    void readsTheRotarySettingsOfNewerModels() {
        config.remove("rope_theta");
        config.remove("torch_dtype");
        config.put("dtype", "bfloat16");
        config.putObject("rope_parameters")
                .put("rope_type", "llama3")
                .put("rope_theta", 500_000.0)
                .put("factor", 32.0)
                .put("low_freq_factor", 1.0)
                .put("high_freq_factor", 4.0)
                .put("original_max_position_embeddings", 8192);
        assertThat(spec().ropeTheta()).isEqualTo(500_000);
        assertThat(spec().ropeScaling()).isEqualTo(new RopeScaling.Llama3(32, 1, 4, 8192));
        assertThat(spec().dtype()).isEqualTo(DType.BF16);
    }

    @Test
    void readsSeveralEndTokens() {
        config.putArray("eos_token_id").add(1).add(7);
        assertThat(spec().eosTokens()).containsExactly(1, 7);
    }

    @Test
    void namesAllLinearsInTheOrderOfTheData() {
        List<LinearName> linears = Architecture.linears(spec());
        assertThat(linears).hasSize(2 * 7 + 1);
        assertThat(linears.getFirst().module()).isEqualTo("model.layers.0.self_attn.q_proj");
        assertThat(linears.getLast().module()).isEqualTo("lm_head");
        config.put("tie_word_embeddings", true);
        assertThat(Architecture.linears(spec())).hasSize(2 * 7);
    }
}
