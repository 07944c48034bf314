package dev.lithe.search;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.compress.Recipe;
import java.util.ArrayList;
import java.util.List;

/// A recipe that a search may try.
///
/// @param choices the option of each slot of the [Space]
/// @param stages the recipe as a user would write it
/// @param single whether it is one technique alone
/// @param bytes that it will come to, by its plan
record Proposal(int[] choices, ObjectNode stages, Recipe recipe, boolean single, long bytes) {
    /// A line for people: `bit_allocation → gptq`.
    String summary() {
        List<String> names = new ArrayList<>();
        stages.path("stages").forEach(stage -> names.add(stage.fieldNames().next()));
        return String.join(" → ", names);
    }

    /// The same for the same recipe.
    String key() {
        return stages.toString();
    }
}
