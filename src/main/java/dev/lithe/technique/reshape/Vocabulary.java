package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.BpeFile;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;

/// Which tokens stay, and their new numbers: those that `config.json` names keep theirs where they
/// fit and become the last otherwise, which follows from the file alone; the others fill what is
/// left in their old order.
final class Vocabulary {
    private static final String NAMING = "_token_id";

    private final int[] old;
    private final Map<Integer, Integer> now = new HashMap<>();

    private Vocabulary(int[] old) {
        this.old = old;
        for (int id = 0; id < old.length; id++) {
            now.put(old[id], id);
        }
    }

    /// The `count` tokens most often used, and what merges make them of.
    ///
    /// @param uses how often each token is used
    /// @param config which names special tokens
    static Vocabulary choose(BpeFile tokenizer, long[] uses, int count, JsonNode config) {
        requireRoom(tokenizer, count, config);
        BitSet kept = always(tokenizer, config);
        tokenizer.tokens().stream()
                .boxed()
                .sorted(Comparator.comparingLong(id -> id < uses.length ? -uses[id] : 0))
                .forEach(id -> {
                    BitSet more = tokenizer.closure(id);
                    more.or(kept);
                    if (more.cardinality() <= count) {
                        kept.or(more);
                    }
                });
        if (kept.cardinality() < count) {
            throw LitheException.badInput(
                    "tokens is %d; the tokenizer has %d, so choose a smaller number",
                    count, kept.cardinality());
        }
        return new Vocabulary(numbered(kept, count, config));
    }

    /// Refuses fewer tokens than every text may need.
    static void requireRoom(BpeFile tokenizer, int count, JsonNode config) {
        int least = always(tokenizer, config).cardinality();
        if (least > count) {
            throw LitheException.badInput(
                    "tokens is %d; special tokens and the alphabet are %d, which have to stay",
                    count, least);
        }
    }

    private static BitSet always(BpeFile tokenizer, JsonNode config) {
        BitSet always = tokenizer.alphabet();
        named(config).forEach(always::set);
        return always;
    }

    /// What a text needs, special tokens, and what every text may need.
    static BitSet needed(BpeFile tokenizer, long[] uses, JsonNode config) {
        BitSet needed = always(tokenizer, config);
        IntStream.range(0, uses.length)
                .filter(id -> uses[id] > 0)
                .forEach(id -> needed.or(tokenizer.closure(id)));
        return needed;
    }

    private static int[] numbered(BitSet kept, int count, JsonNode config) {
        int[] old = new int[count];
        Arrays.fill(old, -1);
        places(config, count)
                .forEach((id, place) -> {
                    old[place] = id;
                    kept.clear(id);
                });
        for (int id = kept.nextSetBit(0), place = 0; id >= 0; id = kept.nextSetBit(id + 1)) {
            while (old[place] >= 0) {
                place++;
            }
            old[place] = id;
        }
        return old;
    }

    /// Where tokens named by `config` go.
    private static Map<Integer, Integer> places(JsonNode config, int count) {
        Map<Integer, Integer> places = new HashMap<>();
        TreeSet<Integer> named = named(config);
        named.headSet(count).forEach(id -> places.put(id, id));
        int place = count - 1;
        for (int id : named.tailSet(count)) {
            while (places.containsKey(place)) {
                place--;
            }
            places.put(id, place--);
        }
        return places;
    }

    private static TreeSet<Integer> named(JsonNode config) {
        TreeSet<Integer> named = new TreeSet<>();
        config.properties().stream()
                .filter(field -> field.getKey().endsWith(NAMING))
                .map(field -> field.getValue())
                .forEach(value -> {
                    if (value.isInt()) {
                        named.add(value.asInt());
                    }
                    value.forEach(id -> named.add(id.asInt()));
                });
        return new TreeSet<>(named.subSet(0, config.path("vocab_size").asInt()));
    }

    /// Gives the tokens that `config` names the numbers that they have among `count`.
    static void renumber(ObjectNode config, int count) {
        renumber(config, places(config, count));
    }

    private static void renumber(ObjectNode config, Map<Integer, Integer> places) {
        for (var field : config.properties()) {
            JsonNode value = field.getValue();
            if (field.getKey().endsWith(NAMING) && value.isInt()) {
                field.setValue(
                        config.numberNode(places.getOrDefault(value.asInt(), value.asInt())));
            } else if (field.getKey().endsWith(NAMING) && value.isArray()) {
                ArrayNode changed = config.arrayNode();
                value.forEach(id -> changed.add(places.getOrDefault(id.asInt(), id.asInt())));
                field.setValue(changed);
            }
        }
    }

    /// The old number of each token.
    long[] rows() {
        return Arrays.stream(old).asLongStream().toArray();
    }

    /// The new number of a token, or -1.
    int now(int id) {
        return now.getOrDefault(id, -1);
    }

    /// The share of `uses` that is of tokens which stay.
    double covered(long[] uses) {
        long all = Arrays.stream(uses).sum();
        long kept =
                IntStream.range(0, uses.length)
                        .filter(now::containsKey)
                        .mapToLong(id -> uses[id])
                        .sum();
        return all == 0 ? 1 : (double) kept / all;
    }

    /// A file that names tokens by id: `generation_config.json`, or `tokenizer_config.json` and
    /// `added_tokens.json`, whose fields or values are ids.
    JsonNode renumbered(String name, JsonNode file) {
        JsonNode copy = file.deepCopy();
        if (copy instanceof ObjectNode object) {
            renumber(object, now);
            if (name.equals("added_tokens.json")) {
                object.properties().removeIf(token -> now(token.getValue().asInt()) < 0);
                object.properties()
                        .forEach(token ->
                                token.setValue(object.numberNode(now(token.getValue().asInt()))));
            }
            if (object.path("added_tokens_decoder") instanceof ObjectNode decoder) {
                ObjectNode changed = object.putObject("added_tokens_decoder");
                decoder.properties()
                        .forEach(token -> {
                            int id = now(Integer.parseInt(token.getKey()));
                            if (id >= 0) {
                                changed.set(String.valueOf(id), token.getValue());
                            }
                        });
            }
        }
        return copy;
    }
}
