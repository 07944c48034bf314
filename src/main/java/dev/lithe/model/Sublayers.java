package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/// Blocks that lack attention, and blocks that lack the feed-forward part: the stream passes what
/// is not there as it is.
///
/// A model that has such blocks says so in `config.json`, in words of NVIDIA's `nemotron-nas`
/// checkpoints (Bercovich et al., "Puzzle", arXiv 2411.19146): `"block_configs": [{"attention":
/// {"no_op": true}, "ffn": {"no_op": false}}, ...]`, an entry for each block. No tensor of what is
/// missing is stored, nor the norm before it. `model_type` gets `lithe-` before it, for a program
/// that knows the type and not the list would fill in random weights; so it refuses the folder. An
/// export to dense writes zeros in their place, which any loader of the architecture runs.
///
/// @param noAttention blocks without attention, ascending
/// @param noMlp blocks without a feed-forward part, ascending
public record Sublayers(List<Integer> noAttention, List<Integer> noMlp) {
    /// Of a model that says nothing: all blocks have both.
    public static final Sublayers ALL = new Sublayers(List.of(), List.of());

    /// What an export that cannot say what is missing leaves to do.
    public static final String WRITE_DENSE = "use --to dense, which writes zeros in their place";

    /// What a technique that needs all blocks alike leaves to do.
    public static final String REMOVE_BLOCKS =
            "remove whole blocks instead, with depth_prune's parts: blocks";

    private static final String KEY = "block_configs";
    private static final String ATTENTION = "attention";
    private static final String MLP = "ffn";
    private static final String MISSING = "no_op";
    private static final String TYPE = "model_type";
    private static final String OURS = "lithe-";

    public Sublayers {
        noAttention = noAttention.stream().distinct().sorted().toList();
        noMlp = noMlp.stream().distinct().sorted().toList();
    }

    /// What `config`, which `where` names in errors, says of a model of so many blocks.
    static Sublayers of(ConfigReader config, int blocks, String where) {
        if (!config.has(KEY)) {
            return ALL;
        }
        JsonNode list = config.get(KEY);
        if (!list.isArray() || list.size() != blocks) {
            throw LitheException.badInput(
                    "%s: %s has %s entries, and the model %d blocks; it needs one for each",
                    where, KEY, list.isArray() ? list.size() : "no", blocks);
        }
        List<Integer> noAttention = new ArrayList<>();
        List<Integer> noMlp = new ArrayList<>();
        for (int block = 0; block < blocks; block++) {
            requireKnown(list.get(block), block, where);
            if (missing(list.get(block), ATTENTION, block, where)) {
                noAttention.add(block);
            }
            if (missing(list.get(block), MLP, block, where)) {
                noMlp.add(block);
            }
        }
        if (noAttention.size() == blocks) {
            throw LitheException.badInput(
                    "%s: %s leaves none of the %d blocks its attention; without any, no token sees"
                            + " another",
                    where, KEY, blocks);
        }
        return new Sublayers(noAttention, noMlp);
    }

    private static void requireKnown(JsonNode entry, int block, String where) {
        if (!entry.isObject()) {
            throw LitheException.badInput(
                    "%s: %s says %s of block %d; it needs what its %s and %s are",
                    where, KEY, entry, block, ATTENTION, MLP);
        }
        for (var field : entry.properties()) {
            JsonNode value = field.getValue();
            boolean part = field.getKey().equals(ATTENTION) || field.getKey().equals(MLP);
            if (part ? !value.isObject() : !isNothing(value)) {
                throw LitheException.badInput(
                        "%s: %s says %s %s of block %d; Lithe knows %s and %s there, each with no_op",
                        where, KEY, field.getKey(), value, block, ATTENTION, MLP);
            }
        }
    }

    private static boolean isNothing(JsonNode value) {
        return value.isNull() || value.isBoolean() && !value.asBoolean();
    }

    /// Whether an entry says that a part is missing; all else that such lists can say, of blocks of
    /// other shapes, is refused.
    private static boolean missing(JsonNode entry, String part, int block, String where) {
        boolean missing = false;
        for (var field : entry.path(part).properties()) {
            JsonNode value = field.getValue();
            if (field.getKey().equals(MISSING) && value.isBoolean()) {
                missing = value.asBoolean();
            } else if (!isNothing(value)) {
                throw LitheException.badInput(
                        "%s: %s says %s %s of %s in block %d; Lithe knows no_op true or false there",
                        where, KEY, field.getKey(), value, part, block);
            }
        }
        return missing;
    }

    /// Says it in `config`, in place of what that said.
    public void describe(ObjectNode config) {
        String type = plainType(config);
        config.remove(KEY);
        if (config.has(TYPE)) {
            config.put(TYPE, any() ? OURS + type : type);
        }
        if (!any()) {
            return;
        }
        ArrayNode list = config.putArray(KEY);
        for (int block = 0; block < Architecture.get(config, "num_hidden_layers"); block++) {
            ObjectNode entry = list.addObject();
            entry.putObject(ATTENTION).put(MISSING, !attends(block));
            entry.putObject(MLP).put(MISSING, !feeds(block));
        }
    }

    /// Makes `config` that of an ordinary model where its list leaves nothing out.
    public static void dropIfWhole(ObjectNode config) {
        boolean whole =
                config.path(KEY)
                        .valueStream()
                        .flatMap(JsonNode::valueStream)
                        .noneMatch(part -> part.path(MISSING).asBoolean());
        if (config.has(KEY) && whole) {
            ALL.describe(config);
        }
    }

    /// Makes `to` say what `from` says of its blocks' parts, or nothing as that does.
    public static void copy(ObjectNode from, ObjectNode to) {
        to.remove(KEY);
        if (from.has(KEY)) {
            to.set(KEY, from.get(KEY).deepCopy());
        }
        if (from.has(TYPE)) {
            to.set(TYPE, from.get(TYPE));
        }
    }

    /// The `model_type` of a model with all of its parts.
    static String plainType(JsonNode config) {
        String type = config.path(TYPE).asText("none");
        return type.startsWith(OURS) ? type.substring(OURS.length()) : type;
    }

    /// Whether a block has attention.
    public boolean attends(int block) {
        return !noAttention.contains(block);
    }

    /// Whether a block has a feed-forward part.
    public boolean feeds(int block) {
        return !noMlp.contains(block);
    }

    /// Whether any is missing.
    public boolean any() {
        return !noAttention.isEmpty() || !noMlp.isEmpty();
    }

    /// The same without more.
    public Sublayers without(Collection<Integer> attention, Collection<Integer> mlps) {
        return new Sublayers(joined(noAttention, attention), joined(noMlp, mlps));
    }

    private static List<Integer> joined(List<Integer> some, Collection<Integer> more) {
        List<Integer> all = new ArrayList<>(some);
        all.addAll(more);
        return all;
    }

    /// For people, of a model of so many blocks.
    public String label(int blocks) {
        return "attention in %d of %d blocks, feed-forward part in %d"
                .formatted(blocks - noAttention.size(), blocks, blocks - noMlp.size());
    }

    /// Refuses missing ones, where `why` all blocks have to be alike, and says what to do instead.
    public void requireAll(String why, String instead) {
        if (any()) {
            throw LitheException.badInput(
                    "some blocks lack attention or a feed-forward part (%s), and %s; %s",
                    KEY, why, instead);
        }
    }
}
