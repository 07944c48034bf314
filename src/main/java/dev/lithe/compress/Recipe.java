package dev.lithe.compress;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationOptions;
import java.util.List;

/// What to do to a model: stages, in order.
///
/// @param name a built-in's name, a file's name without its ending, or `inline`
/// @param calibration what calibrated stages look at
public record Recipe(String name, List<Stage<?>> stages, CalibrationOptions calibration) {
    public Recipe {
        stages = List.copyOf(stages);
    }

    /// The same recipe with another calibration text.
    public Recipe withCalibrationText(String file) {
        return new Recipe(name, stages, calibration.withText(file));
    }

    /// Whether a stage looks at data.
    public boolean calibrated() {
        return stages.stream().anyMatch(Stage::calibrated);
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
