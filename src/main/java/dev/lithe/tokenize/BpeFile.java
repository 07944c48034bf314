package dev.lithe.tokenize;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;

/// A `tokenizer.json` of byte-pair encoding as data: which tokens are made of which, and the same
/// tokenizer with fewer of them. Tokens without a row in the model's embedding, such as an image's
/// in a model of text alone, count as absent.
public final class BpeFile {
    private static final int SPLIT = 2;

    private final ObjectNode root;
    private final int rows;
    private final Map<String, Integer> ids = new LinkedHashMap<>();
    private final Map<Integer, BitSet> parts = new HashMap<>();

    private BpeFile(ObjectNode root, int rows) {
        this.root = root;
        this.rows = rows;
        root.at("/model/vocab").properties().stream()
                .filter(token -> token.getValue().asInt() < rows)
                .forEach(token -> ids.put(token.getKey(), token.getValue().asInt()));
        for (JsonNode merge : root.at("/model/merges")) {
            String[] pair = pair(merge);
            Integer made = ids.get(pair[0] + pair[1]);
            if (made != null) {
                BitSet needs = parts.computeIfAbsent(made, _ -> new BitSet());
                needs.set(ids.getOrDefault(pair[0], made));
                needs.set(ids.getOrDefault(pair[1], made));
            }
        }
    }

    /// Reads that of a model's folder.
    ///
    /// @param rows of its embedding
    /// @throws LitheException where it is no byte-pair encoding
    public static BpeFile read(Path folder, int rows) {
        Path file = folder.resolve("tokenizer.json");
        try {
            JsonNode root = new JsonMapper().readTree(file.toFile());
            String type = root.at("/model/type").asText("unknown");
            if (!type.equals("BPE") || !(root instanceof ObjectNode object)) {
                throw LitheException.badInput(
                        "%s: the tokenizer's type is %s; only BPE can be made smaller", file, type);
            }
            return new BpeFile(object, rows);
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    private static String[] pair(JsonNode merge) {
        return merge.isArray()
                ? new String[] {merge.path(0).asText(), merge.path(1).asText()}
                : merge.asText().split(" ", SPLIT);
    }

    /// All ids that it knows.
    public BitSet tokens() {
        BitSet all = added();
        ids.values().forEach(all::set);
        return all;
    }

    /// What every text may need: added tokens, the token for what is unknown, and single bytes, or
    /// single characters where bytes are none.
    public BitSet alphabet() {
        BitSet alphabet = added();
        JsonNode unknown = root.at("/model/unk_token");
        boolean bytes = root.at("/model/byte_fallback").asBoolean();
        ids.forEach((token, id) -> {
            boolean single = token.codePointCount(0, token.length()) == 1;
            if (token.equals(unknown.textValue())
                    || (bytes ? token.matches("<0x[0-9A-F]{2}>") : single)) {
                alphabet.set(id);
            }
        });
        return alphabet;
    }

    private BitSet added() {
        BitSet added = new BitSet();
        root.path("added_tokens").forEach(token -> added.set(token.path("id").asInt()));
        added.clear(rows, Math.max(rows, added.length()));
        return added;
    }

    /// `token` and all that merges make it of, by whichever way: with those every text that ends in
    /// it does so still.
    public BitSet closure(int token) {
        BitSet closed = new BitSet();
        BitSet open = new BitSet();
        open.set(token);
        while (!open.isEmpty()) {
            int next = open.nextSetBit(0);
            closed.set(next);
            open.or(parts.getOrDefault(next, new BitSet()));
            open.andNot(closed);
        }
        return closed;
    }

    /// The same with only the tokens that have a new id, and the merges between them. Texts that it
    /// splits into those are split as before.
    ///
    /// @param renumbered the new id of a token, -1 where it goes
    public ObjectNode trimmed(IntUnaryOperator renumbered) {
        ObjectNode trimmed = root.deepCopy();
        ObjectNode model = (ObjectNode) trimmed.path("model");
        ObjectNode vocab = model.putObject("vocab");
        ids.entrySet().stream()
                .filter(token -> renumbered.applyAsInt(token.getValue()) >= 0)
                .sorted(Map.Entry.comparingByValue())
                .forEach(token ->
                        vocab.put(token.getKey(), renumbered.applyAsInt(token.getValue())));
        ArrayNode merges = model.putArray("merges");
        for (JsonNode merge : root.at("/model/merges")) {
            String[] pair = pair(merge);
            if (List.of(pair[0], pair[1], pair[0] + pair[1]).stream().allMatch(vocab::has)) {
                merges.add(merge);
            }
        }
        if (trimmed.path("added_tokens") instanceof ArrayNode added) {
            for (var each = added.iterator(); each.hasNext(); ) {
                ObjectNode token = (ObjectNode) each.next();
                int id = renumbered.applyAsInt(token.path("id").asInt());
                if (id < 0) {
                    each.remove();
                }
                token.put("id", id);
            }
        }
        for (JsonNode special : trimmed.findValues("special_tokens")) {
            for (JsonNode token : special) {
                if (token.path("ids") instanceof ArrayNode list) {
                    for (int i = 0; i < list.size(); i++) {
                        list.set(i, renumbered.applyAsInt(list.get(i).asInt()));
                    }
                }
            }
        }
        return trimmed;
    }
}
