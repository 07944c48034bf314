package dev.lithe.technique;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import java.util.List;

/// Lists in a `config.json` that have an entry for each block, such as `layer_types`.
public final class LayerLists {
    private static final String TYPES = "layer_types";

    private LayerLists() {}

    /// Leaves only the entries of the blocks `kept` in every list as long as there are blocks.
    public static void keep(ObjectNode config, int blocks, List<Integer> kept) {
        for (var field : config.properties()) {
            JsonNode value = field.getValue();
            if (value instanceof ArrayNode list
                    && list.size() == blocks
                    && perLayer(field.getKey())) {
                ArrayNode shorter = config.arrayNode();
                kept.forEach(block -> shorter.add(list.get(block)));
                field.setValue(shorter);
            }
        }
        Sublayers.dropIfWhole(config);
    }

    /// Makes `to` say of its blocks what `from` says, list by list.
    public static void copy(ObjectNode from, ObjectNode to) {
        for (var field : from.properties()) {
            if (field.getValue() instanceof ArrayNode list && perLayer(field.getKey())) {
                to.set(field.getKey(), list.deepCopy());
            }
        }
        Sublayers.copy(from, to);
    }

    /// Writes `layer_types` where the blocks of a model of shapes `spec` differ by it and its
    /// `config` leaves that to a rule of the architecture's.
    public static void spellOut(ObjectNode config, ModelSpec spec) {
        if (spec.mixesWindows() && !config.has(TYPES)) {
            ArrayNode types = config.putArray(TYPES);
            spec.windows()
                    .forEach(window ->
                            types.add(window > 0 ? "sliding_attention" : "full_attention"));
        }
    }

    private static boolean perLayer(String key) {
        return key.contains("layer") || key.contains("block");
    }
}
