package dev.lithe.technique;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/// Lists in a `config.json` that have an entry for each block, such as `layer_types`.
public final class LayerLists {
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
    }

    private static boolean perLayer(String key) {
        return key.contains("layer") || key.contains("block");
    }
}
