package dev.lithe.export;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.GgufWriter;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.tokenize.ChatTemplate;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Writes `tokenizer.json` and the chat template as GGUF's `tokenizer` values. Byte-level BPE
/// becomes llama.cpp's model `gpt2`, with its merges; BPE that falls back to bytes, as
/// SentencePiece makes it, becomes `llama`, whose scores are the merges' ranks.
final class GgufTokenizer {
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    private static final int BYTE = 6;

    /// Patterns that split a text before BPE, by a part that only they have, and llama.cpp's name.
    private static final Map<String, String> SPLITS =
            Map.of(
                    "\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*", "llama-bpe",
                    "\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*", "qwen2");

    private final Path folder;
    private final JsonNode tokenizer;
    private final JsonNode model;
    private final ModelSpec spec;

    GgufTokenizer(Checkpoint checkpoint, ModelSpec spec) {
        this.folder = checkpoint.folder();
        @Nullable JsonNode found = checkpoint.json("tokenizer.json");
        if (found == null) {
            throw LitheException.badInput(
                    "%s has no tokenizer.json, which a GGUF file takes in", folder);
        }
        this.tokenizer = found;
        this.model = found.path("model");
        this.spec = spec;
        if (!model.path("type").asText().equals("BPE")) {
            throw LitheException.badInput(
                    "%s: the tokenizer is of type '%s'; only BPE can be exported as GGUF",
                    folder, model.path("type").asText());
        }
    }

    void write(GgufWriter gguf) {
        boolean bytes = model.path("byte_fallback").asBoolean();
        List<String> tokens = new ArrayList<>();
        List<Integer> types = new ArrayList<>();
        for (int id = 0; id < spec.vocabSize(); id++) {
            tokens.add("[PAD" + id + "]");
            types.add(UNUSED);
        }
        for (var entry : model.path("vocab").properties()) {
            boolean isByte = bytes && entry.getKey().matches("<0x[0-9A-F]{2}>");
            set(tokens, types, entry.getValue().asInt(), entry.getKey(), isByte ? BYTE : NORMAL);
        }
        String unknown = model.path("unk_token").asText("");
        for (JsonNode added : tokenizer.path("added_tokens")) {
            String content = added.path("content").asText();
            int type =
                    content.equals(unknown)
                            ? UNKNOWN
                            : added.path("special").asBoolean() ? CONTROL : USER_DEFINED;
            set(tokens, types, added.path("id").asInt(), content, type);
        }
        gguf.text("tokenizer.ggml.model", bytes ? "llama" : "gpt2");
        if (!bytes) {
            gguf.text("tokenizer.ggml.pre", split());
        }
        gguf.texts("tokenizer.ggml.tokens", tokens);
        gguf.integers("tokenizer.ggml.token_type", types);
        List<String> merges = merges();
        if (bytes) {
            gguf.numbers("tokenizer.ggml.scores", scores(tokens, merges));
            gguf.flag("tokenizer.ggml.add_space_prefix", hasPrefix());
        } else {
            gguf.texts("tokenizer.ggml.merges", merges);
        }
        writeSpecial(gguf, tokens.indexOf(unknown));
    }

    private static void set(
            List<String> tokens, List<Integer> types, int id, String token, int type) {
        if (id >= 0 && id < tokens.size()) {
            tokens.set(id, token);
            types.set(id, type);
        }
    }

    private List<String> merges() {
        List<String> merges = new ArrayList<>();
        for (JsonNode merge : model.path("merges")) {
            merges.add(
                    merge.isArray()
                            ? merge.path(0).asText() + " " + merge.path(1).asText()
                            : merge.asText());
        }
        return merges;
    }

    /// The earlier a token is merged the higher; what no merge makes comes last.
    private static List<Float> scores(List<String> tokens, List<String> merges) {
        Map<String, Integer> ranks = new HashMap<>();
        for (int rank = 0; rank < merges.size(); rank++) {
            ranks.putIfAbsent(merges.get(rank).replace(" ", ""), rank);
        }
        return tokens.stream()
                .map(token -> (float) -ranks.getOrDefault(token, merges.size()))
                .toList();
    }

    private boolean hasPrefix() {
        return tokenizer.path("normalizer").toString().contains("\"Prepend\"")
                || tokenizer.path("pre_tokenizer").toString().contains("\"always\"")
                || tokenizer.path("pre_tokenizer").toString().contains("\"first\"");
    }

    private String split() {
        String split = tokenizer.path("pre_tokenizer").toString();
        if (split.contains("\"Digits\"") && !split.contains("\"Split\"")) {
            return "smollm";
        }
        if (!split.contains("\"Regex\"") && split.contains("\"use_regex\":true")) {
            return "gpt-2";
        }
        return SPLITS.entrySet().stream()
                .filter(known -> split.contains(known.getKey()))
                .sorted((a, b) -> b.getKey().length() - a.getKey().length())
                .map(Map.Entry::getValue)
                .findFirst()
                .orElseThrow(() ->
                        LitheException.badInput(
                                "%s: the tokenizer splits texts by a pattern that Lithe knows no"
                                        + " name of in llama.cpp; use --to dense and llama.cpp's own"
                                        + " converter",
                                folder));
    }

    private void writeSpecial(GgufWriter gguf, int unknown) {
        Integer bos = spec.bosToken();
        if (bos != null) {
            gguf.count("tokenizer.ggml.bos_token_id", bos);
        }
        if (!spec.eosTokens().isEmpty()) {
            gguf.count("tokenizer.ggml.eos_token_id", spec.eosTokens().getFirst());
        }
        if (unknown >= 0) {
            gguf.count("tokenizer.ggml.unknown_token_id", unknown);
        }
        gguf.flag("tokenizer.ggml.add_bos_token", bos != null && startsWith(bos));
        gguf.flag("tokenizer.ggml.add_eos_token", false);
        ChatTemplate.source(folder)
                .ifPresent(template -> gguf.text("tokenizer.chat_template", template));
    }

    /// Whether the tokenizer puts the token before a text.
    private boolean startsWith(int bos) {
        String post = tokenizer.path("post_processor").toString();
        return post.contains("TemplateProcessing")
                && post.contains("\"ids\":[" + bos + "]")
                && post.matches(".*\"single\":\\[\\{\"SpecialToken\".*");
    }
}
