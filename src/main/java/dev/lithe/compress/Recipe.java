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

    /// Whether a stage looks at data, or an allocation does.
    public boolean calibrated() {
        return stages.stream().anyMatch(stage -> stage.calibrated() || stage.allocation() != null);
    }

    /// Whether [Allocator] has to find bits before the recipe can be carried out.
    public boolean needsAllocation() {
        return stages.stream().anyMatch(stage -> stage.allocation() != null);
    }

    /// Whether a stage looks at the original's stream too.
    boolean needsTargets() {
        return stages.stream().anyMatch(Stage::needsTargets);
    }

    /// The place of the first stage after which later ones have to reproduce the model as it is
    /// then: behind the last exact one.
    int reference() {
        int reference = 0;
        for (int i = 0; i < stages.size(); i++) {
            reference = stages.get(i).exact() ? i + 1 : reference;
        }
        return reference;
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
