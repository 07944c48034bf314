package dev.lithe.compress;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;

/// What to do to a model: stages, in order.
///
/// @param name a built-in's name, a file's name without its ending, or `inline`
public record Recipe(String name, List<Stage<?>> stages) {
    public Recipe {
        stages = List.copyOf(stages);
    }

    /// The recipe with every default spelled out, as `lithe.json` records it.
    public ObjectNode toJson() {
        return RecipeParser.toJson(this);
    }

    /// A line for people: `cast → rtn → rtn`.
    public String summary() {
        return String.join(" → ", stages.stream().map(Stage::name).toList());
    }
}
