package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The `tokenizer.json` and `tokenizer_config.json` that a GGUF file's `tokenizer` values stand
/// for: byte-level BPE (`gpt2`), where llama.cpp's name for how texts are split is one of
/// [GgufSplits], and SentencePiece's BPE (`llama`), whose merges follow from scores
/// ([PieceMerges]).
final class GgufVocabulary {
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;

    /// How SentencePiece writes a space.
    private static final String SPACE = "\u2581";

    private final GgufFile gguf;
    private final boolean pieces;
    private final List<String> tokens;
    private final List<Long> types;

    /// @throws LitheException where Lithe does not know its kind
    GgufVocabulary(GgufFile gguf) {
        this.gguf = gguf;
        String model = gguf.value("tokenizer.ggml.model", String.class);
        if (model == null || !model.equals("gpt2") && !model.equals("llama")) {
            throw LitheException.badInput(
                    "%s: tokenizer.ggml.model is '%s'; Lithe reads gpt2 and llama",
                    gguf.file(), model == null ? "missing" : model);
        }
        this.pieces = model.equals("llama");
        this.tokens = gguf.texts("tokenizer.ggml.tokens");
        List<Long> given = gguf.list("tokenizer.ggml.token_type", Long.class);
        this.types = given.isEmpty() ? tokens.stream().map(_ -> (long) NORMAL).toList() : given;
        requireAsMany("tokenizer.ggml.token_type", types.size());
    }

    private void requireAsMany(String key, int count) {
        if (count != tokens.size() || tokens.isEmpty()) {
            throw LitheException.badInput(
                    "%s: %s has %d members for %d tokens", gguf.file(), key, count, tokens.size());
        }
    }

    /// `tokenizer.json`.
    ObjectNode tokenizer() {
        ObjectNode root = JsonNodeFactory.instance.objectNode().put("version", "1.0");
        addedTokens(root.putArray("added_tokens"));
        String split = gguf.value("tokenizer.ggml.pre", String.class);
        if (pieces) {
            aroundPieces(root);
        } else {
            GgufSplits.describe(split, root, gguf.file());
            GgufSplits.bytes(root.putObject("decoder"), true);
        }
        around(root, pieces || GgufSplits.startsTexts(split));
        ObjectNode model = root.putObject("model").put("type", "BPE");
        Long unknown = gguf.value("tokenizer.ggml.unknown_token_id", Long.class);
        if (pieces || unknown != null) {
            model.put("unk_token", token(unknown == null ? 0 : unknown));
        }
        model.put("fuse_unk", pieces).put("byte_fallback", pieces);
        model.put("ignore_merges", !pieces && GgufSplits.takesWholeTokens(split));
        ObjectNode vocab = model.putObject("vocab");
        for (int id = 0; id < tokens.size(); id++) {
            if (types.get(id) != UNUSED || !tokens.get(id).startsWith("[PAD")) {
                vocab.put(tokens.get(id), id);
            }
        }
        merges(model.putArray("merges"));
        return root;
    }

    private void addedTokens(ArrayNode added) {
        for (int id = 0; id < tokens.size(); id++) {
            long type = types.get(id);
            if (type == UNKNOWN || type == CONTROL || type == USER_DEFINED) {
                added.addObject()
                        .put("id", id)
                        .put("content", tokens.get(id))
                        .put("single_word", false)
                        .put("lstrip", false)
                        .put("rstrip", false)
                        .put("normalized", false)
                        .put("special", type != USER_DEFINED);
            }
        }
    }

    private void merges(ArrayNode merges) {
        if (!pieces) {
            gguf.texts("tokenizer.ggml.merges").forEach(merges::add);
            return;
        }
        List<Double> scores = gguf.list("tokenizer.ggml.scores", Double.class);
        requireAsMany("tokenizer.ggml.scores", scores.size());
        for (PieceMerges.Merge merge : PieceMerges.of(tokens, scores, gguf.file())) {
            merges.addArray().add(merge.left()).add(merge.right());
        }
    }

    private void aroundPieces(ObjectNode root) {
        boolean prefix = flag("tokenizer.ggml.add_space_prefix", true);
        ArrayNode normalizers =
                root.putObject("normalizer").put("type", "Sequence").putArray("normalizers");
        if (prefix) {
            normalizers.addObject().put("type", "Prepend").put("prepend", SPACE);
        }
        replace(normalizers.addObject(), " ", SPACE);
        root.putNull("pre_tokenizer");
        ArrayNode decoders = root.putObject("decoder").put("type", "Sequence").putArray("decoders");
        replace(decoders.addObject(), SPACE, " ");
        decoders.addObject().put("type", "ByteFallback");
        decoders.addObject().put("type", "Fuse");
        if (prefix) {
            decoders.addObject()
                    .put("type", "Strip")
                    .put("content", " ")
                    .put("start", 1)
                    .put("stop", 0);
        }
    }

    private static void replace(ObjectNode node, String from, String to) {
        node.put("type", "Replace").putObject("pattern").put("String", from);
        node.put("content", to);
    }

    /// What a text is put between.
    private void around(ObjectNode root, boolean starts) {
        Long bos = gguf.value("tokenizer.ggml.bos_token_id", Long.class);
        Long eos = gguf.value("tokenizer.ggml.eos_token_id", Long.class);
        boolean first = bos != null && flag("tokenizer.ggml.add_bos_token", starts);
        boolean last = eos != null && flag("tokenizer.ggml.add_eos_token", false);
        if (!first && !last) {
            return;
        }
        ObjectNode processor = root.putObject("post_processor").put("type", "TemplateProcessing");
        ObjectNode special = processor.putObject("special_tokens");
        for (String kind : List.of("single", "pair")) {
            ArrayNode parts = processor.putArray(kind);
            for (int text = 0; text < (kind.equals("pair") ? 2 : 1); text++) {
                special(parts, special, first ? bos : null, text);
                parts.addObject()
                        .putObject("Sequence")
                        .put("id", text == 0 ? "A" : "B")
                        .put("type_id", text);
                special(parts, special, last ? eos : null, text);
            }
        }
    }

    private void special(ArrayNode parts, ObjectNode special, @Nullable Long id, int text) {
        if (id == null) {
            return;
        }
        String token = token(id);
        parts.addObject().putObject("SpecialToken").put("id", token).put("type_id", text);
        ObjectNode node = special.putObject(token).put("id", token);
        node.putArray("ids").add(id.longValue());
        node.putArray("tokens").add(token);
    }

    private boolean flag(String key, boolean fallback) {
        Boolean found = gguf.value(key, Boolean.class);
        return found == null ? fallback : found;
    }

    private String token(long id) {
        if (id < 0 || id >= tokens.size()) {
            throw LitheException.badInput(
                    "%s: names token %d, and has %d", gguf.file(), id, tokens.size());
        }
        return tokens.get((int) id);
    }

    /// `tokenizer_config.json`, with the chat template.
    ObjectNode config() {
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        root.put("tokenizer_class", "PreTrainedTokenizerFast");
        for (String name : List.of("bos", "eos", "unknown", "padding")) {
            Long id = gguf.value("tokenizer.ggml." + name + "_token_id", Long.class);
            if (id != null) {
                String key = name.equals("unknown") ? "unk" : name.equals("padding") ? "pad" : name;
                root.put(key + "_token", token(id));
            }
        }
        String template = gguf.value("tokenizer.chat_template", String.class);
        if (template != null) {
            root.put("chat_template", template);
        }
        return root;
    }
}
