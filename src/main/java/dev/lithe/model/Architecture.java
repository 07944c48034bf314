package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import java.util.ArrayList;
import java.util.List;

/// The tensor names and shapes of a Llama-like decoder.
public final class Architecture {
    private static final List<String> KNOWN = List.of("LlamaForCausalLM");

    /// Token embedding, (V, d).
    public static final String EMBEDDING = "model.embed_tokens.weight";

    /// Scale of the last norm, (d).
    public static final String FINAL_NORM = "model.norm.weight";

    /// The output layer.
    public static final String LM_HEAD = "lm_head";

    private Architecture() {}

    /// The architecture that `config` declares, if Lithe knows it.
    static String supported(JsonNode config, String where) {
        String declared =
                config.path("architectures")
                        .path(0)
                        .asText(config.path("model_type").asText("none"));
        if (declared.equals("llama")) {
            return KNOWN.getFirst();
        }
        if (!KNOWN.contains(declared)) {
            throw LitheException.badInput(
                    "%s: architecture '%s' is unknown; Lithe knows %s",
                    where, declared, String.join(", ", KNOWN));
        }
        return declared;
    }

    /// All linear layers, block by block, the output layer last (absent when tied to the
    /// embedding).
    public static List<LinearName> linears(ModelSpec spec) {
        List<LinearName> linears = new ArrayList<>();
        for (int block = 0; block < spec.layers(); block++) {
            linears.addAll(block(spec, block));
        }
        if (!spec.tiedEmbeddings()) {
            linears.add(
                    new LinearName(
                            LM_HEAD, -1, Slot.LM_HEAD, spec.vocabSize(), spec.hiddenSize(), false));
        }
        return linears;
    }

    /// The linear layers of one block, in the order in which data passes them.
    public static List<LinearName> block(ModelSpec spec, int block) {
        String attention = "model.layers." + block + ".self_attn.";
        String mlp = "model.layers." + block + ".mlp.";
        int d = spec.hiddenSize();
        int f = spec.intermediateSize();
        int q = spec.heads() * spec.headDim();
        int kv = spec.kvHeads() * spec.headDim();
        boolean ab = spec.attentionBias();
        boolean mb = spec.mlpBias();
        return List.of(
                new LinearName(attention + "q_proj", block, Slot.QKV, q, d, ab),
                new LinearName(attention + "k_proj", block, Slot.QKV, kv, d, ab),
                new LinearName(attention + "v_proj", block, Slot.QKV, kv, d, ab),
                new LinearName(attention + "o_proj", block, Slot.O, d, q, ab),
                new LinearName(mlp + "gate_proj", block, Slot.GATE_UP, f, d, mb),
                new LinearName(mlp + "up_proj", block, Slot.GATE_UP, f, d, mb),
                new LinearName(mlp + "down_proj", block, Slot.DOWN, d, f, mb));
    }

    /// Scale of the norm before attention, (d).
    public static String inputNorm(int block) {
        return "model.layers." + block + ".input_layernorm.weight";
    }

    /// Scale of the norm before the feed-forward part, (d).
    public static String postAttentionNorm(int block) {
        return "model.layers." + block + ".post_attention_layernorm.weight";
    }

    /// All norm scales, in the order in which data passes them.
    public static List<String> norms(ModelSpec spec) {
        List<String> norms = new ArrayList<>();
        for (int block = 0; block < spec.layers(); block++) {
            norms.add(inputNorm(block));
            norms.add(postAttentionNorm(block));
        }
        norms.add(FINAL_NORM);
        return norms;
    }
}
