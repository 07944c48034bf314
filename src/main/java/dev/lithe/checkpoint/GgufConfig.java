package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/// The `config.json` that a GGUF file's values stand for.
final class GgufConfig {
    /// What GGUF calls an architecture, and its `model_type` and class name.
    private static final Map<String, String> CLASSES =
            Map.of(
                    "llama",
                    "LlamaForCausalLM",
                    GgufNames.BY_BLOCK,
                    "LlamaForCausalLM",
                    "qwen2",
                    "Qwen2ForCausalLM",
                    "qwen3",
                    "Qwen3ForCausalLM");

    /// Keys that change what a model computes in ways that these architectures do not have; 0 and
    /// false say the usual.
    private static final List<String> UNUSUAL =
            List.of(
                    "expert_count",
                    "attention.sliding_window",
                    "attention.scale",
                    "attention.clamp_kqv",
                    "logit_scale",
                    "residual_scale",
                    "embedding_scale",
                    "attn_logit_softcapping",
                    "final_logit_softcapping",
                    "use_parallel_residual");

    private final GgufFile gguf;
    private final Path file;
    private final String architecture;
    private final ObjectNode config = JsonNodeFactory.instance.objectNode();

    private GgufConfig(GgufFile gguf) {
        this.gguf = gguf;
        this.file = gguf.file();
        this.architecture = architecture(gguf);
    }

    /// The architecture of `gguf`.
    ///
    /// @throws LitheException where Lithe has none that is the same
    static String architecture(GgufFile gguf) {
        String named = gguf.value("general.architecture", String.class);
        if (named == null || !CLASSES.containsKey(named)) {
            throw LitheException.badInput(
                    "%s: architecture '%s' is none that Lithe reads as GGUF; it reads %s; give the"
                            + " model as a Hugging Face folder",
                    gguf.file(),
                    named == null ? "none" : named,
                    String.join(", ", CLASSES.keySet().stream().sorted().toList()));
        }
        return named;
    }

    /// Coordinates of a head.
    static int headDim(GgufFile gguf) {
        var config = new GgufConfig(gguf);
        long heads = config.count("attention.head_count");
        long width = config.count("embedding_length");
        return Math.toIntExact(config.count("attention.key_length", Math.max(1, width / heads)));
    }

    /// Makes it.
    ///
    /// @throws LitheException where the file says too little, or what Lithe cannot do
    static ObjectNode of(GgufFile gguf) {
        return new GgufConfig(gguf).make();
    }

    private ObjectNode make() {
        refuseUnusual();
        config.putArray("architectures").add(CLASSES.get(architecture));
        config.put("model_type", byBlock() ? "llama" : architecture);
        GgufFile.Tensor embedding = gguf.tensors().get("token_embd.weight");
        if (embedding == null || embedding.shape().size() != 2) {
            throw LitheException.badInput("%s: has no embedding (token_embd.weight)", file);
        }
        int headDim = headDim(gguf);
        config.put("vocab_size", embedding.shape().getFirst());
        config.put("hidden_size", count("embedding_length"));
        config.put("intermediate_size", count("feed_forward_length"));
        config.put("num_hidden_layers", count("block_count"));
        config.put("num_attention_heads", count("attention.head_count"));
        config.put(
                "num_key_value_heads",
                count("attention.head_count_kv", count("attention.head_count")));
        config.put("head_dim", headDim);
        same("attention.value_length", headDim);
        same("rope.dimension_count", headDim);
        config.put("max_position_embeddings", count("context_length"));
        config.put("rms_norm_eps", number("attention.layer_norm_rms_epsilon"));
        config.put("rope_theta", number("rope.freq_base", 10_000));
        config.put("hidden_act", "silu");
        config.put("tie_word_embeddings", !gguf.tensors().containsKey("output.weight"));
        if (!architecture.equals("qwen2")) {
            config.put("attention_bias", gguf.tensors().containsKey("blk.0.attn_q.bias"));
        }
        if (GgufNames.isLlama(architecture)) {
            config.put("mlp_bias", gguf.tensors().containsKey("blk.0.ffn_gate.bias"));
        }
        if (byBlock()) {
            describeBlocks();
        }
        config.put(
                "torch_dtype",
                switch (embedding.type()) {
                    case F32 -> "float32";
                    case BF16 -> "bfloat16";
                    default -> "float16";
                });
        GgufStretch.describe(gguf, architecture, headDim / 2, config);
        specialTokens();
        QuantizationMetadata.describeIn(
                config, new GgufTensors(gguf, architecture, headDim).schemes());
        return config;
    }

    private void refuseUnusual() {
        for (String key : UNUSUAL) {
            Object value = gguf.values().get(architecture + "." + key);
            boolean usual =
                    value == null
                            || value.equals(0L)
                            || value.equals(0.0)
                            || value.equals(false)
                            || key.equals("attention.sliding_window")
                                    && value instanceof Long window
                                    && window >= count("context_length");
            if (!usual) {
                throw LitheException.badInput(
                        "%s: %s.%s is %s, which Lithe does not know of this architecture",
                        file, architecture, key, value);
            }
        }
        Object parts = gguf.values().getOrDefault("split.count", 1L);
        if (!parts.equals(0L) && !parts.equals(1L)) {
            throw LitheException.badInput(
                    "%s: is one of %s parts; put them together with llama.cpp's llama-gguf-split"
                            + " --merge",
                    file, parts);
        }
    }

    private boolean byBlock() {
        return architecture.equals(GgufNames.BY_BLOCK);
    }

    /// Which blocks lack attention, or all that they could have, as `config.json` says it.
    private void describeBlocks() {
        if (Stream.of("attention.head_count", "attention.head_count_kv", "feed_forward_length")
                .noneMatch(key -> gguf.values().get(architecture + "." + key) instanceof List)) {
            return;
        }
        int blocks = Math.toIntExact(count("block_count"));
        List<?> heads = eachBlock("attention.head_count", blocks);
        List<?> groups = eachBlock("attention.head_count_kv", blocks);
        List<?> channels = eachBlock("feed_forward_length", blocks);
        ArrayNode entries = JsonNodeFactory.instance.arrayNode();
        boolean missing = false;
        for (int block = 0; block < blocks; block++) {
            boolean attends = !heads.get(block).equals(0L);
            boolean feeds = !channels.get(block).equals(0L);
            if (attends == groups.get(block).equals(0L)
                    || attends && !feeds
                    || block == 0 && !attends) {
                throw LitheException.badInput(
                        "%s: block %d has %s heads, %s of keys and values, and %s feed-forward"
                                + " channels; Lithe reads blocks with all of them, without heads, and"
                                + " without any, and the first with all",
                        file, block, heads.get(block), groups.get(block), channels.get(block));
            }
            missing |= !attends || !feeds;
            ObjectNode entry = entries.addObject();
            entry.putObject("attention").put("no_op", !attends);
            entry.putObject("ffn").put("no_op", !feeds);
        }
        if (missing) {
            config.put("model_type", "lithe-llama");
            config.set("block_configs", entries);
        }
    }

    private List<?> eachBlock(String key, int blocks) {
        Object value = gguf.values().get(architecture + "." + key);
        if (value instanceof List<?> list) {
            if (list.size() != blocks) {
                throw LitheException.badInput(
                        "%s: %s.%s has %d numbers, and there are %d blocks",
                        file, architecture, key, list.size(), blocks);
            }
            return list;
        }
        return Collections.nCopies(blocks, count(key));
    }

    private long count(String key) {
        Object value = gguf.values().get(architecture + "." + key);
        if (value instanceof List<?> list) {
            List<?> counts =
                    list.stream()
                            .filter(each -> !byBlock() || !each.equals(0L))
                            .distinct()
                            .toList();
            value = counts.size() == 1 ? counts.getFirst() : value;
        }
        if (!(value instanceof Long number) || number < 1 || number > Integer.MAX_VALUE) {
            throw LitheException.badInput(
                    "%s: %s.%s is %s; it must be a count, the same in all blocks that have any",
                    file,
                    architecture,
                    key,
                    value == null
                            ? "missing"
                            : value instanceof List<?> list
                                    ? "a list of " + list.size()
                                    : value.toString());
        }
        return number;
    }

    private long count(String key, long fallback) {
        return gguf.values().containsKey(architecture + "." + key) ? count(key) : fallback;
    }

    private void same(String key, long expected) {
        long found = count(key, expected);
        if (found != expected) {
            throw LitheException.badInput(
                    "%s: %s.%s is %d, and heads are %d wide; Lithe reads only the same of both",
                    file, architecture, key, found, expected);
        }
    }

    private double number(String key) {
        Double found = gguf.decimal(architecture + "." + key);
        if (found == null) {
            throw LitheException.badInput("%s: %s.%s is missing", file, architecture, key);
        }
        return found;
    }

    private double number(String key, double fallback) {
        return gguf.values().containsKey(architecture + "." + key) ? number(key) : fallback;
    }

    /// A turn of a conversation may end with a token of its own.
    private void specialTokens() {
        Long bos = gguf.value("tokenizer.ggml.bos_token_id", Long.class);
        if (bos != null) {
            config.put("bos_token_id", bos);
        }
        ArrayNode ends = JsonNodeFactory.instance.arrayNode();
        for (String key : List.of("eos", "eot", "eom")) {
            Long end = gguf.value("tokenizer.ggml." + key + "_token_id", Long.class);
            if (end != null && ends.valueStream().noneMatch(each -> each.asLong() == end)) {
                ends.add(end.longValue());
            }
        }
        if (ends.size() == 1) {
            config.set("eos_token_id", ends.get(0));
        } else if (!ends.isEmpty()) {
            config.set("eos_token_id", ends);
        }
    }
}
