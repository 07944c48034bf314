package dev.lithe.checkpoint;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What GGUF calls architectures and modules, and what Hugging Face calls them (`gguf/constants.py`
/// and `tensor_mapping.py` of llama.cpp).
public final class GgufNames {
    /// `llama` in which blocks differ: a count in its values is a list with one for each block, and
    /// 0 where a block lacks what is counted.
    public static final String BY_BLOCK = "deci";

    /// Architectures that GGUF says all about that Lithe needs to know.
    private static final Map<String, String> ARCHITECTURES =
            Map.of(
                    "LlamaForCausalLM", "llama",
                    "MistralForCausalLM", "llama",
                    "Qwen2ForCausalLM", "qwen2",
                    "Qwen3ForCausalLM", "qwen3");

    private static final Map<String, String> OUTSIDE =
            Map.of(
                    "model.embed_tokens", "token_embd",
                    "model.norm", "output_norm",
                    "lm_head", "output");

    private static final Map<String, String> IN_BLOCK =
            Map.ofEntries(
                    Map.entry("self_attn.q_proj", "attn_q"),
                    Map.entry("self_attn.k_proj", "attn_k"),
                    Map.entry("self_attn.v_proj", "attn_v"),
                    Map.entry("self_attn.o_proj", "attn_output"),
                    Map.entry("mlp.gate_proj", "ffn_gate"),
                    Map.entry("mlp.up_proj", "ffn_up"),
                    Map.entry("mlp.down_proj", "ffn_down"),
                    Map.entry("input_layernorm", "attn_norm"),
                    Map.entry("self_attn.q_norm", "attn_q_norm"),
                    Map.entry("self_attn.k_norm", "attn_k_norm"),
                    Map.entry("post_attention_layernorm", "ffn_norm"));

    private static final Pattern BLOCK = Pattern.compile("model\\.layers\\.(\\d{1,5})\\.(.+)");
    private static final Pattern GGUF_BLOCK = Pattern.compile("blk\\.(\\d{1,5})\\.(.+)");
    private static final Map<String, String> OUTSIDE_BACK = reversed(OUTSIDE);
    private static final Map<String, String> IN_BLOCK_BACK = reversed(IN_BLOCK);

    private GgufNames() {}

    private static Map<String, String> reversed(Map<String, String> names) {
        Map<String, String> reversed = new HashMap<>();
        names.forEach((ours, theirs) -> reversed.put(theirs, ours));
        return Map.copyOf(reversed);
    }

    /// By the class name that Hugging Face has for each, what GGUF calls the architecture.
    public static Map<String, String> architectures() {
        return ARCHITECTURES;
    }

    /// Whether it is Llama's, with blocks that are alike or differ.
    public static boolean isLlama(String architecture) {
        return architecture.equals("llama") || architecture.equals(BY_BLOCK);
    }

    /// Whether its q and k have their rows in another order: llama.cpp turns neighbouring
    /// coordinates of a head where Hugging Face turns its halves.
    public static boolean turned(String architecture, String module) {
        return isLlama(architecture) && (module.endsWith(".q_proj") || module.endsWith(".k_proj"));
    }

    /// Which row of Hugging Face's each row of GGUF's is, for `count` rows of heads `width` wide.
    public static int[] turnedRows(int count, int width) {
        int[] rows = new int[count];
        for (int row = 0; row < count; row++) {
            int at = row % width;
            rows[row] = row - at + at % 2 * (width / 2) + at / 2;
        }
        return rows;
    }

    /// GGUF's name of a module.
    public static Optional<String> theirs(String module) {
        Matcher block = BLOCK.matcher(module);
        return block.matches()
                ? Optional.ofNullable(IN_BLOCK.get(block.group(2)))
                        .map(name -> "blk." + block.group(1) + "." + name)
                : Optional.ofNullable(OUTSIDE.get(module));
    }

    /// Hugging Face's name of one of GGUF's.
    static Optional<String> ours(String name) {
        Matcher block = GGUF_BLOCK.matcher(name);
        return block.matches()
                ? Optional.ofNullable(IN_BLOCK_BACK.get(block.group(2)))
                        .map(module -> "model.layers." + block.group(1) + "." + module)
                : Optional.ofNullable(OUTSIDE_BACK.get(name));
    }
}
