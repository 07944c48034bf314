package dev.lithe;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/// A Llama-shaped Hugging Face folder with random weights, written without any of the code under
/// test. Set what matters to the test, then [#write]; what is written can be changed before that
/// through [#config] and [#tensors].
public final class TinyModel {
    private final JsonMapper json = new JsonMapper();

    private int vocab = 300;
    private int hidden = 32;
    private int intermediate = 48;
    private int layers = 2;
    private int heads = 4;
    private int kvHeads = 2;
    private int headDim = 8;
    private int positions = 128;
    private boolean tied;
    private boolean biases;
    private boolean llama3Rope;
    private DType dtype = DType.F32;
    private int shards = 1;
    private long seed = 1;

    private String type = "llama";
    private boolean absolute;
    private int window = 7;
    private int sinks;
    private int seen;
    private int page;
    private int pages;
    private int denseBlocks;
    private int heavy;
    private int context;
    private List<Integer> noAttention = List.of();
    private List<Integer> noMlp = List.of();

    private TinyModel() {}

    /// The same of another architecture, with what sets it apart: `mistral`, `qwen2`, `qwen3`,
    /// `phi3`, `gemma`, `gemma2`, `gemma3_text`, `gpt2` or `opt`. Gemma's and GPT-2's are tied.
    public static TinyModel of(String modelType) {
        TinyModel model = new TinyModel();
        model.type = modelType;
        model.tied = modelType.startsWith("gemma") || modelType.equals("gpt2");
        model.absolute = modelType.equals("gpt2") || modelType.equals("opt");
        return model;
    }

    /// How far back blocks with a window see.
    public TinyModel window(int positionsSeen) {
        window = positionsSeen;
        return this;
    }

    /// Tokens see the first `count` positions and the last `last` only.
    public TinyModel sinks(int count, int last) {
        sinks = count;
        seen = last;
        return this;
    }

    /// Queries choose `count` pages of `tokens` tokens besides their own, in blocks from `dense`
    /// on.
    public TinyModel pages(int tokens, int count, int dense) {
        page = tokens;
        pages = count;
        denseBlocks = dense;
        return this;
    }

    /// And so many between them, those of most attention, at most so far away.
    public TinyModel heavy(int count, int farthest) {
        heavy = count;
        context = farthest;
        return this;
    }

    /// Without the attention of some blocks, and without the feed-forward part of others.
    public TinyModel without(List<Integer> attention, List<Integer> mlps) {
        noAttention = attention;
        noMlp = mlps;
        return this;
    }

    /// Two layers of width 32 in float32.
    public static TinyModel small() {
        return new TinyModel();
    }

    public TinyModel vocab(int count) {
        vocab = count;
        return this;
    }

    public TinyModel width(int hiddenSize, int intermediateSize) {
        hidden = hiddenSize;
        intermediate = intermediateSize;
        return this;
    }

    public TinyModel layers(int count) {
        layers = count;
        return this;
    }

    public TinyModel heads(int queryHeads, int keyValueHeads, int width) {
        heads = queryHeads;
        kvHeads = keyValueHeads;
        headDim = width;
        return this;
    }

    public TinyModel positions(int count) {
        positions = count;
        return this;
    }

    public TinyModel tied() {
        tied = true;
        return this;
    }

    public TinyModel biases() {
        biases = true;
        return this;
    }

    /// Llama 3's stretched rotary frequencies, with numbers that touch all three of its ranges.
    public TinyModel llama3Rope() {
        llama3Rope = true;
        return this;
    }

    public TinyModel dtype(DType type) {
        dtype = type;
        return this;
    }

    /// Files to spread the tensors over, with an index when there are several.
    public TinyModel shards(int count) {
        shards = count;
        return this;
    }

    public TinyModel seed(long value) {
        seed = value;
        return this;
    }

    /// `config.json`.
    public ObjectNode config() {
        ObjectNode config = json.createObjectNode();
        config.putArray("architectures").add(architecture());
        config.put("model_type", type)
                .put("vocab_size", vocab)
                .put("bos_token_id", TinyTokenizer.BOS)
                .put("eos_token_id", TinyTokenizer.EOS)
                .put("torch_dtype", dtype.torchName());
        if (absolute) {
            absolute().describe(config, heads, tied);
            return config;
        }
        config.put("hidden_size", hidden)
                .put("intermediate_size", intermediate)
                .put("num_hidden_layers", layers)
                .put("num_attention_heads", heads)
                .put("num_key_value_heads", kvHeads)
                .put("head_dim", headDim)
                .put("max_position_embeddings", positions)
                .put("rms_norm_eps", 1e-5)
                .put("rope_theta", 10_000.0)
                .put("hidden_act", "silu")
                .put("tie_word_embeddings", tied);
        differences(config);
        if (!noAttention.isEmpty() || !noMlp.isEmpty()) {
            config.put("model_type", "lithe-" + type);
            ArrayNode blocks = config.putArray("block_configs");
            for (int layer = 0; layer < layers; layer++) {
                ObjectNode block = blocks.addObject();
                block.putObject("attention").put("no_op", noAttention.contains(layer));
                block.putObject("ffn").put("no_op", noMlp.contains(layer));
            }
        }
        if (seen > 0) {
            config.putObject("lithe_sparse_attention")
                    .put("format", "lithe.sparse_attention/v1")
                    .put("sinks", sinks)
                    .put("window", seen)
                    .put("heavy", heavy)
                    .put("context", context);
        }
        if (pages > 0) {
            config.putObject("lithe_page_attention")
                    .put("format", "lithe.page_attention/v1")
                    .put("page", page)
                    .put("pages", pages)
                    .put("dense", denseBlocks);
        }
        if (llama3Rope) {
            config.putObject("rope_scaling")
                    .put("rope_type", "llama3")
                    .put("factor", 8.0)
                    .put("low_freq_factor", 1.0)
                    .put("high_freq_factor", 4.0)
                    .put("original_max_position_embeddings", 64);
        }
        return config;
    }

    private String architecture() {
        return switch (type) {
            case "mistral" -> "MistralForCausalLM";
            case "qwen2" -> "Qwen2ForCausalLM";
            case "qwen3" -> "Qwen3ForCausalLM";
            case "phi3" -> "Phi3ForCausalLM";
            case "gemma" -> "GemmaForCausalLM";
            case "gemma2" -> "Gemma2ForCausalLM";
            case "gemma3_text" -> "Gemma3ForCausalLM";
            case "gpt2" -> "GPT2LMHeadModel";
            case "opt" -> "OPTForCausalLM";
            default -> "LlamaForCausalLM";
        };
    }

    private void differences(ObjectNode config) {
        switch (type) {
            case "mistral" -> config.put("sliding_window", window);
            case "qwen2", "qwen3" ->
                    config.put("use_sliding_window", true)
                            .put("sliding_window", window)
                            .put("max_window_layers", 1);
            case "phi3" -> config.put("sliding_window", window).put("partial_rotary_factor", 0.75);
            case "gemma" -> config.put("hidden_activation", "gelu_pytorch_tanh");
            case "gemma2" ->
                    config.put("hidden_activation", "gelu_pytorch_tanh")
                            .put("query_pre_attn_scalar", 12)
                            .put("attn_logit_softcapping", 2.0)
                            .put("final_logit_softcapping", 3.0)
                            .put("sliding_window", window);
            case "gemma3_text" ->
                    config.put("hidden_activation", "gelu_pytorch_tanh")
                            .put("query_pre_attn_scalar", 12)
                            .put("sliding_window", window)
                            .put("sliding_window_pattern", 2)
                            .put("rope_local_base_freq", 100.0);
            default -> config.put("attention_bias", biases).put("mlp_bias", biases);
        }
    }

    /// All tensors by name, in the order of the file.
    public Map<String, RawTensor> tensors() {
        var random = new Random(seed);
        if (absolute) {
            return absolute().tensors(random, tied);
        }
        Map<String, RawTensor> tensors = new LinkedHashMap<>();
        tensors.put("model.embed_tokens.weight", matrix(random, vocab, hidden));
        for (int layer = 0; layer < layers; layer++) {
            String name = "model.layers." + layer + ".";
            tensors.put(name + "input_layernorm.weight", scale(random));
            if (type.equals("phi3")) {
                int width = (heads + 2 * kvHeads) * headDim;
                linear(tensors, random, name + "self_attn.qkv_proj", width, hidden);
            } else {
                boolean bias = biases || type.equals("qwen2");
                linear(tensors, random, name + "self_attn.q_proj", heads * headDim, hidden, bias);
                linear(tensors, random, name + "self_attn.k_proj", kvHeads * headDim, hidden, bias);
                linear(tensors, random, name + "self_attn.v_proj", kvHeads * headDim, hidden, bias);
            }
            if (type.equals("qwen3") || type.equals("gemma3_text")) {
                tensors.put(name + "self_attn.q_norm.weight", scale(random, headDim));
                tensors.put(name + "self_attn.k_norm.weight", scale(random, headDim));
            }
            linear(tensors, random, name + "self_attn.o_proj", hidden, heads * headDim);
            tensors.put(name + "post_attention_layernorm.weight", scale(random));
            if (type.equals("gemma2") || type.equals("gemma3_text")) {
                tensors.put(name + "pre_feedforward_layernorm.weight", scale(random));
                tensors.put(name + "post_feedforward_layernorm.weight", scale(random));
            }
            if (type.equals("phi3")) {
                linear(tensors, random, name + "mlp.gate_up_proj", 2 * intermediate, hidden);
            } else {
                linear(tensors, random, name + "mlp.gate_proj", intermediate, hidden);
                linear(tensors, random, name + "mlp.up_proj", intermediate, hidden);
            }
            linear(tensors, random, name + "mlp.down_proj", hidden, intermediate);
        }
        tensors.put("model.norm.weight", scale(random));
        if (!tied) {
            tensors.put("lm_head.weight", matrix(random, vocab, hidden));
        }
        tensors.keySet().removeIf(this::isMissing);
        return tensors;
    }

    private boolean isMissing(String tensor) {
        if (!tensor.startsWith("model.layers.")) {
            return false;
        }
        int layer = Integer.parseInt(tensor.split("\\.")[2]);
        boolean outputNorms = type.equals("gemma2") || type.equals("gemma3_text");
        boolean attention =
                tensor.contains("self_attn.")
                        || tensor.contains("input_layernorm")
                        || tensor.contains("post_attention_layernorm") && outputNorms;
        return (attention ? noAttention : noMlp).contains(layer);
    }

    private TinyAbsolute absolute() {
        return new TinyAbsolute(type, vocab, hidden, intermediate, layers, positions, dtype);
    }

    private void linear(Map<String, RawTensor> tensors, Random random, String name, int n, int k) {
        linear(tensors, random, name, n, k, biases);
    }

    private void linear(
            Map<String, RawTensor> tensors,
            Random random,
            String name,
            int n,
            int k,
            boolean bias) {
        tensors.put(name + ".weight", matrix(random, n, k));
        if (bias) {
            tensors.put(name + ".bias", RawTensor.of(dtype, normal(random, n, 0.5), n));
        }
    }

    private RawTensor matrix(Random random, int n, int k) {
        return RawTensor.of(dtype, normal(random, n * k, 1.5 / Math.sqrt(k)), n, k);
    }

    private RawTensor scale(Random random) {
        return scale(random, hidden);
    }

    private RawTensor scale(Random random, int width) {
        float[] values = normal(random, width, 0.2);
        for (int i = 0; !type.startsWith("gemma") && i < values.length; i++) {
            values[i] += 1;
        }
        return RawTensor.of(dtype, values, width);
    }

    static float[] normal(Random random, int count, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return values;
    }

    /// Writes the folder, which may exist.
    ///
    /// @return `folder`
    public Path write(Path folder) throws IOException {
        return write(folder, config(), tensors());
    }

    /// Writes the folder with another configuration or other tensors.
    public Path write(Path folder, ObjectNode config, Map<String, RawTensor> tensors)
            throws IOException {
        Files.createDirectories(folder);
        text(folder.resolve("config.json"), config.toPrettyString());
        text(folder.resolve("tokenizer.json"), TinyTokenizer.json(vocab).toString());
        if (shards == 1) {
            RawSafetensors.of(tensors).write(folder.resolve("model.safetensors"));
        } else {
            writeShards(folder, tensors);
        }
        return folder;
    }

    private void writeShards(Path folder, Map<String, RawTensor> tensors) throws IOException {
        List<String> names = new ArrayList<>(tensors.keySet());
        ObjectNode index = json.createObjectNode();
        ObjectNode map = index.putObject("weight_map");
        for (int shard = 0; shard < shards; shard++) {
            String file = String.format("model-%05d-of-%05d.safetensors", shard + 1, shards);
            Map<String, RawTensor> part = new LinkedHashMap<>();
            for (String name :
                    names.subList(
                            names.size() * shard / shards, names.size() * (shard + 1) / shards)) {
                part.put(name, tensors.get(name));
                map.put(name, file);
            }
            RawSafetensors.of(part).write(folder.resolve(file));
        }
        text(folder.resolve("model.safetensors.index.json"), index.toPrettyString());
    }

    private static void text(Path file, String content) throws IOException {
        Files.write(file, content.getBytes(StandardCharsets.UTF_8));
    }
}
