package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
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
                    new Gemma3Family(),
                    new Gpt2Family(),
                    new OptFamily());

    /// The output layer.
    public static final String LM_HEAD = "lm_head";

    private Architecture() {}

    /// The family that `config` declares, if Lithe knows it.
    static ModelFamily family(JsonNode config, String where) {
        String type = Sublayers.plainType(config);
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

    /// The modules that ids look up, the token embedding (V, d) first.
    public static List<String> tables(JsonNode config) {
        TensorNames names = family(config, "config.json").names();
        return names.positions().isEmpty()
                ? List.of(names.embedding())
                : List.of(names.embedding(), names.positions());
    }

    private static TensorNames names(ModelSpec spec) {
        return family(spec).names();
    }

    private static ModelFamily family(ModelSpec spec) {
        return KNOWN.stream()
                .filter(each -> each.architecture().equals(spec.architecture()))
                .findFirst()
                .orElseThrow();
    }

    private static Part embedding(ModelSpec spec) {
        int d = spec.hiddenSize();
        TensorNames names = names(spec);
        List<LinearName> tables = new ArrayList<>();
        tables.add(table(names.embedding(), spec.vocabSize(), d));
        if (spec.style().learnedPositions()) {
            tables.add(table(names.positions(), spec.positionRows(), d));
        }
        return new Part(Kind.EMBEDDING, -1, tables, Map.of());
    }

    private static LinearName table(String module, int rows, int width) {
        return new LinearName(module, -1, Slot.EMBEDDING, rows, width, false);
    }

    private static Part output(ModelSpec spec) {
        var head =
                new LinearName(
                        LM_HEAD, -1, Slot.LM_HEAD, spec.vocabSize(), spec.hiddenSize(), false);
        return new Part(
                Kind.OUTPUT,
                -1,
                spec.tiedEmbeddings() ? List.of() : List.of(head),
                Map.of(Norm.FINAL, names(spec).finalNorm() + ".weight"));
    }

    private static Part block(ModelSpec spec, int block) {
        return new Part(Kind.BLOCK, block, blockLinears(spec, block), blockNorms(spec, block));
    }

    private static List<LinearName> blockLinears(ModelSpec spec, int block) {
        List<LinearName> linears = new ArrayList<>();
        if (spec.sublayers().attends(block)) {
            addAttention(linears, spec, block);
        }
        if (spec.sublayers().feeds(block)) {
            addMlp(linears, spec, block);
        }
        return linears;
    }

    private static void addAttention(List<LinearName> linears, ModelSpec spec, int block) {
        TensorNames names = names(spec);
        int d = spec.hiddenSize();
        int q = spec.heads() * spec.headDim();
        int kv = spec.kvHeads() * spec.headDim();
        boolean in = spec.style().inputBias();
        if (spec.style().fused()) {
            linears.add(linear(spec, names.qkv(), block, Slot.QKV, q + 2 * kv, d, in));
        } else {
            linears.add(linear(spec, names.q(), block, Slot.QKV, q, d, in));
            linears.add(linear(spec, names.k(), block, Slot.QKV, kv, d, in));
            linears.add(linear(spec, names.v(), block, Slot.QKV, kv, d, in));
        }
        linears.add(linear(spec, names.o(), block, Slot.O, d, q, spec.style().outputBias()));
    }

    private static void addMlp(List<LinearName> linears, ModelSpec spec, int block) {
        TensorNames names = names(spec);
        int d = spec.hiddenSize();
        int f = spec.intermediateSize();
        BlockStyle style = spec.style();
        boolean mb = style.mlpBias();
        if (spec.experts().any()) {
            int count = spec.experts().count();
            linears.add(linear(spec, Experts.ROUTER, block, Slot.GATE_UP, count, d, true));
        }
        if (!style.gated()) {
            linears.add(linear(spec, names.up(), block, Slot.GATE_UP, f, d, mb));
        } else if (style.fused()) {
            linears.add(linear(spec, names.gateUp(), block, Slot.GATE_UP, 2 * f, d, mb));
        } else {
            linears.add(linear(spec, names.gate(), block, Slot.GATE_UP, f, d, mb));
            linears.add(linear(spec, names.up(), block, Slot.GATE_UP, f, d, mb));
        }
        linears.add(linear(spec, names.down(), block, Slot.DOWN, d, f, mb));
    }

    private static LinearName linear(
            ModelSpec spec, String name, int block, Slot slot, int n, int k, boolean bias) {
        String module = name(spec, block) + name;
        return new LinearName(module, block, slot, n, k, bias, family(spec).transposed());
    }

    private static Map<Norm, String> blockNorms(ModelSpec spec, int block) {
        Map<Norm, String> norms = new EnumMap<>(Norm.class);
        String name = name(spec, block);
        boolean attends = spec.sublayers().attends(block);
        boolean feeds = spec.sublayers().feeds(block);
        String afterAttention = name + names(spec).mlpNorm() + ".weight";
        boolean outputNorms = spec.style().outputNorms();
        if (attends) {
            norms.put(Norm.INPUT, name + names(spec).inputNorm() + ".weight");
        }
        if (attends && spec.style().headNorms()) {
            norms.put(Norm.QUERY, name + "self_attn.q_norm.weight");
            norms.put(Norm.KEY, name + "self_attn.k_norm.weight");
        }
        if (attends && outputNorms) {
            norms.put(Norm.ATTENTION_OUTPUT, afterAttention);
        }
        if (feeds && outputNorms) {
            norms.put(Norm.MLP_INPUT, name + "pre_feedforward_layernorm.weight");
            norms.put(Norm.MLP_OUTPUT, name + "post_feedforward_layernorm.weight");
        } else if (feeds) {
            norms.put(Norm.MLP_INPUT, afterAttention);
        }
        return norms;
    }

    private static String name(ModelSpec spec, int block) {
        return names(spec).blocks() + block + ".";
    }

    /// Makes `config` say `value` under the key that its architecture has for `usual`.
    public static void put(ObjectNode config, String usual, int value) {
        config.put(family(config, "config.json").key(usual), value);
    }

    /// What `config` says under that key; 0 where it is silent.
    public static int get(JsonNode config, String usual) {
        ModelFamily family = family(config, "config.json");
        return new ConfigReader(config, "config.json", family::key).get(usual).asInt();
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
