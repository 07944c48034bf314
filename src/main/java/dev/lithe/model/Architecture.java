package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// The architectures that Lithe knows, and the tensor names and shapes of their decoders.
public final class Architecture {
    private static final List<ModelFamily> KNOWN =
            List.of(
                    new LlamaFamily(),
                    new MistralFamily(),
                    new Qwen2Family(),
                    new Qwen3Family(),
                    new Phi3Family(),
                    new GemmaFamily(),
                    new Gemma2Family(),
                    new Gemma3Family());

    /// The token embedding, (V, d).
    public static final String EMBEDDING = "model.embed_tokens";

    /// Scale of the last norm, (d).
    static final String FINAL_NORM = "model.norm.weight";

    /// The output layer.
    public static final String LM_HEAD = "lm_head";

    private Architecture() {}

    /// The family that `config` declares, if Lithe knows it.
    static ModelFamily family(JsonNode config, String where) {
        String type = config.path("model_type").asText("none");
        String declared = config.path("architectures").path(0).asText(type);
        return KNOWN.stream()
                .filter(each ->
                        each.architecture().equals(declared) || each.modelType().equals(declared))
                .findFirst()
                .orElseThrow(() ->
                        LitheException.badInput(
                                "%s: architecture '%s' is unknown; Lithe knows %s",
                                where,
                                declared,
                                KNOWN.stream()
                                        .map(ModelFamily::architecture)
                                        .collect(Collectors.joining(", "))));
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
                Map.of(Norm.FINAL, FINAL_NORM));
    }

    private static Part block(ModelSpec spec, int block) {
        return new Part(Kind.BLOCK, block, blockLinears(spec, block), blockNorms(spec, block));
    }

    private static List<LinearName> blockLinears(ModelSpec spec, int block) {
        String attention = name(block) + "self_attn.";
        String mlp = name(block) + "mlp.";
        int d = spec.hiddenSize();
        int f = spec.intermediateSize();
        int q = spec.heads() * spec.headDim();
        int kv = spec.kvHeads() * spec.headDim();
        BlockStyle style = spec.style();
        boolean in = style.inputBias();
        boolean mb = style.mlpBias();
        List<LinearName> linears = new ArrayList<>();
        if (style.fused()) {
            linears.add(new LinearName(attention + "qkv_proj", block, Slot.QKV, q + 2 * kv, d, in));
        } else {
            linears.add(new LinearName(attention + "q_proj", block, Slot.QKV, q, d, in));
            linears.add(new LinearName(attention + "k_proj", block, Slot.QKV, kv, d, in));
            linears.add(new LinearName(attention + "v_proj", block, Slot.QKV, kv, d, in));
        }
        linears.add(new LinearName(attention + "o_proj", block, Slot.O, d, q, style.outputBias()));
        if (spec.experts().any()) {
            String router = name(block) + Experts.ROUTER;
            int count = spec.experts().count();
            linears.add(new LinearName(router, block, Slot.GATE_UP, count, d, true));
        }
        if (style.fused()) {
            linears.add(new LinearName(mlp + "gate_up_proj", block, Slot.GATE_UP, 2 * f, d, mb));
        } else {
            linears.add(new LinearName(mlp + "gate_proj", block, Slot.GATE_UP, f, d, mb));
            linears.add(new LinearName(mlp + "up_proj", block, Slot.GATE_UP, f, d, mb));
        }
        linears.add(new LinearName(mlp + "down_proj", block, Slot.DOWN, d, f, mb));
        return linears;
    }

    private static Map<Norm, String> blockNorms(ModelSpec spec, int block) {
        Map<Norm, String> norms = new EnumMap<>(Norm.class);
        norms.put(Norm.INPUT, name(block) + "input_layernorm.weight");
        if (spec.style().headNorms()) {
            norms.put(Norm.QUERY, name(block) + "self_attn.q_norm.weight");
            norms.put(Norm.KEY, name(block) + "self_attn.k_norm.weight");
        }
        String afterAttention = name(block) + "post_attention_layernorm.weight";
        if (spec.style().outputNorms()) {
            norms.put(Norm.ATTENTION_OUTPUT, afterAttention);
            norms.put(Norm.MLP_INPUT, name(block) + "pre_feedforward_layernorm.weight");
            norms.put(Norm.MLP_OUTPUT, name(block) + "post_feedforward_layernorm.weight");
        } else {
            norms.put(Norm.MLP_INPUT, afterAttention);
        }
        return norms;
    }

    private static String name(int block) {
        return "model.layers." + block + ".";
    }

    /// Whether loaders of the architecture look at `attention_bias`, so that every linear of
    /// attention can be given a bias.
    public static boolean takesAttentionBias(JsonNode config) {
        return family(config, "config.json").takesAttentionBias();
    }

    /// The same for `mlp_bias` and the feed-forward part.
    public static boolean takesMlpBias(JsonNode config) {
        return family(config, "config.json").takesMlpBias();
    }
}
