package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// How texts are split before byte-level BPE, by llama.cpp's names for it (`tokenizer.ggml.pre`),
/// as `tokenizer.json` says it.
final class GgufSplits {
    /// Around what differs: how many digits make a word.
    private static final String HEAD =
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";

    private static final String TAIL =
            "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    private GgufSplits() {}

    /// Whether a text starts with a start token where the file does not say.
    static boolean startsTexts(@Nullable String name) {
        return isLlama3(name);
    }

    /// Whether a word that is a token is taken whole, whatever its merges.
    static boolean takesWholeTokens(@Nullable String name) {
        return isLlama3(name);
    }

    private static boolean isLlama3(@Nullable String name) {
        return name != null && name.matches("llama-bpe|llama3|llama-v3");
    }

    /// Writes the split called `name`, and how texts are normalized before it, to the
    /// `tokenizer.json` `root`.
    ///
    /// @throws LitheException where Lithe does not know it
    static void describe(@Nullable String name, ObjectNode root, Path file) {
        switch (name) {
            case "gpt-2" -> bytes(root.putObject("pre_tokenizer"), true);
            case "llama-bpe", "llama3", "llama-v3" -> split(root, "\\p{N}{1,3}");
            case "qwen2", "deepseek-r1-qwen" -> {
                root.putObject("normalizer").put("type", "NFC");
                split(root, "\\p{N}");
            }
            case "smollm" -> {
                ArrayNode parts = sequence(root);
                parts.addObject().put("type", "Digits").put("individual_digits", true);
                bytes(parts.addObject(), true);
            }
            case null, default ->
                    throw LitheException.badInput(
                            "%s: tokenizer.ggml.pre is '%s'; Lithe knows gpt-2, llama-bpe, qwen2 and"
                                    + " smollm; give the model as a Hugging Face folder",
                            file, name == null ? "missing" : name);
        }
    }

    private static ArrayNode sequence(ObjectNode root) {
        return root.putObject("pre_tokenizer").put("type", "Sequence").putArray("pretokenizers");
    }

    private static void split(ObjectNode root, String digits) {
        ArrayNode parts = sequence(root);
        ObjectNode split = parts.addObject().put("type", "Split");
        split.putObject("pattern").put("Regex", HEAD + digits + TAIL);
        split.put("behavior", "Isolated").put("invert", false);
        bytes(parts.addObject(), false);
    }

    /// Bytes as characters, and words split before if it `splits`.
    static void bytes(ObjectNode node, boolean splits) {
        node.put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", splits);
    }
}
