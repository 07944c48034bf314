package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationOptions;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// What to do to a model: stages, in order.
///
/// @param name a built-in's name, a file's name without its ending, or `inline`
/// @param stages those that change weights
/// @param running those that change only how the model runs; the order among the two is free
/// @param calibration what calibrated stages look at
public record Recipe(
        String name,
        List<Stage<?>> stages,
        List<RunStage<?>> running,
        CalibrationOptions calibration) {
    public Recipe {
        stages = List.copyOf(stages);
        running = List.copyOf(running);
    }

    /// The same recipe with another calibration text.
    public Recipe withCalibrationText(String file) {
        return new Recipe(name, stages, running, calibration.withText(file));
    }

    /// Whether a stage looks at data, or an allocation does.
    public boolean calibrated() {
        return stages.stream().anyMatch(stage -> stage.calibrated() || stage.allocation() != null);
    }

    /// Whether [Allocator] has to find bits before the recipe can be carried out.
    public boolean needsAllocation() {
        return stages.stream().anyMatch(stage -> stage.allocation() != null);
    }

    /// A copy of a model's `config.json` that says how the result runs.
    ObjectNode configured(JsonNode model) {
        ObjectNode result = model.deepCopy();
        running.forEach(stage -> stage.configure(result));
        return result;
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
        return Stream.concat(
                        stages.stream().map(Stage::name),
                        running.stream().map(stage -> stage.technique().name()))
                .collect(Collectors.joining(" → "));
    }
}
