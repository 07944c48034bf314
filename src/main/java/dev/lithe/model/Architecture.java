package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The tensor names and shapes of a Llama-like decoder.
public final class Architecture {
    private static final List<String> KNOWN = List.of("LlamaForCausalLM");

    /// The token embedding, (V, d).
    public static final String EMBEDDING = "model.embed_tokens";

    /// Scale of the last norm, (d).
    static final String FINAL_NORM = "model.norm.weight";

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

    /// The parts of the model in the order in which data passes them: embedding, blocks, output
    /// layer.
    public static List<Part> parts(ModelSpec spec) {
        List<Part> parts = new ArrayList<>(List.of(embedding(spec)));
        for (int block = 0; block < spec.layers(); block++) {
            parts.add(block(spec, block));
        }
        parts.add(output(spec));
        return parts;
    }

    /// All linear layers, block by block, the output layer last (absent when tied to the
    /// embedding); the embedding is not among them.
    public static List<LinearName> linears(ModelSpec spec) {
        return parts(spec).stream()
                .filter(part -> part.kind() != Kind.EMBEDDING)
                .flatMap(part -> part.linears().stream())
                .toList();
    }

    private static Part embedding(ModelSpec spec) {
        var table =
                new LinearName(
                        EMBEDDING, -1, Slot.EMBEDDING, spec.vocabSize(), spec.hiddenSize(), false);
        return new Part(Kind.EMBEDDING, -1, List.of(table), Map.of());
    }

    private static Part output(ModelSpec spec) {
        var head =
                new LinearName(
                        LM_HEAD, -1, Slot.LM_HEAD, spec.vocabSize(), spec.hiddenSize(), false);
        return new Part(
                Kind.OUTPUT,
                -1,
                spec.tiedEmbeddings() ? List.of() : List.of(head),
                Map.of(Slot.LM_HEAD, FINAL_NORM));
    }

    private static Part block(ModelSpec spec, int block) {
        return new Part(
                Kind.BLOCK,
                block,
                blockLinears(spec, block),
                Map.of(Slot.QKV, inputNorm(block), Slot.GATE_UP, postAttentionNorm(block)));
    }

    private static List<LinearName> blockLinears(ModelSpec spec, int block) {
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

    private static String inputNorm(int block) {
        return "model.layers." + block + ".input_layernorm.weight";
    }

    private static String postAttentionNorm(int block) {
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
