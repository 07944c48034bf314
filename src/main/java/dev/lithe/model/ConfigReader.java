package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/// Reads values of `config.json` and refuses those that no model can have.
final class ConfigReader {
    static final int MAX_COUNT = 1 << 24;

    private final JsonNode node;
    private final String where;
    private final UnaryOperator<String> otherKeys;

    ConfigReader(JsonNode node, String where) {
        this(node, where, UnaryOperator.identity());
    }

    /// Of an architecture that has other names for some keys, where the usual ones are missing.
    ConfigReader(JsonNode node, String where, UnaryOperator<String> otherKeys) {
        this.node = node;
        this.where = where;
        this.otherKeys = otherKeys;
    }

    /// What it reads, for errors.
    String where() {
        return where;
    }

    boolean has(String key) {
        JsonNode value = get(key);
        return !value.isMissingNode() && !value.isNull();
    }

    JsonNode get(String key) {
        return node.has(key) ? node.path(key) : node.path(otherKeys.apply(key));
    }

    ConfigReader section(String key) {
        JsonNode section = get(key);
        if (has(key) && !section.isObject()) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be an object", where, key, section);
        }
        return new ConfigReader(section, where + ": " + key);
    }

    /// The section of one of Lithe's own keys, which says what `format` it has.
    ConfigReader section(String key, String format) {
        ConfigReader section = section(key);
        String given = section.text("format", "none");
        if (!given.equals(format)) {
            throw LitheException.badInput(
                    "%s: %s has the format '%s'; this Lithe knows %s", where, key, given, format);
        }
        return section;
    }

    int count(String key) {
        return countUpTo(key, MAX_COUNT);
    }

    int countUpTo(String key, int max) {
        return count(key, 1, max);
    }

    private int count(String key, int least, int most) {
        JsonNode value = get(key);
        if (!value.isIntegralNumber()
                || !value.canConvertToInt()
                || value.asInt() < least
                || value.asInt() > most) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be a count from %d to %d",
                    where, key, value.isMissingNode() ? "missing" : value, least, most);
        }
        return value.asInt();
    }

    int count(String key, int fallback) {
        return has(key) ? count(key) : fallback;
    }

    int countFromZero(String key, int fallback) {
        return has(key) ? count(key, 0, MAX_COUNT) : fallback;
    }

    Activation activation(String key, String fallback) {
        return Activation.of(text(key, fallback), where);
    }

    /// Whether block `index` is of the kind with a window; `fallback` where `layer_types` is
    /// absent.
    boolean layerType(int index, boolean fallback) {
        if (!has("layer_types")) {
            return fallback;
        }
        String type = node.path("layer_types").path(index).asText("missing");
        return switch (type) {
            case "sliding_attention" -> true;
            case "full_attention" -> false;
            default ->
                    throw LitheException.badInput(
                            "%s: layer_types says '%s' of block %d; Lithe knows full_attention and"
                                    + " sliding_attention",
                            where, type, index);
        };
    }

    /// `sliding_window` of a block that is of the kind with one; 0 where it sees all.
    int window(boolean sliding) {
        return sliding ? count("sliding_window", 0) : 0;
    }

    double positive(String key, double fallback) {
        if (!has(key)) {
            return fallback;
        }
        JsonNode value = get(key);
        if (!value.isNumber() || !(value.asDouble() > 0) || Double.isInfinite(value.asDouble())) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be a number above 0", where, key, value);
        }
        return value.asDouble();
    }

    /// 0 where the key is there and null.
    double positiveOrNull(String key, double fallback) {
        return get(key).isNull() ? 0 : positive(key, fallback);
    }

    boolean flag(String key, boolean fallback) {
        if (!has(key)) {
            return fallback;
        }
        if (!get(key).isBoolean()) {
            throw LitheException.badInput(
                    "%s: %s is %s; it must be true or false", where, key, get(key));
        }
        return get(key).asBoolean();
    }

    String text(String key, String fallback) {
        return get(key).asText(fallback);
    }

    /// Token ids given as one number, a list, or not at all.
    List<Integer> tokens(String key, int vocabSize) {
        List<Integer> ids = new ArrayList<>();
        JsonNode value = get(key);
        for (JsonNode id :
                value.isArray() ? value : has(key) ? List.of(value) : List.<JsonNode>of()) {
            if (!id.isIntegralNumber()
                    || !id.canConvertToInt()
                    || id.asInt() < 0
                    || id.asInt() >= vocabSize) {
                throw LitheException.badInput(
                        "%s: %s is %s; token ids run from 0 to %d",
                        where, key, value, vocabSize - 1);
            }
            ids.add(id.asInt());
        }
        return ids;
    }
}
