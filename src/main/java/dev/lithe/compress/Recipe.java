package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// What to do to a model: stages, in order.
///
/// @param name a built-in's name, a file's name without its ending, or `inline`
/// @param steps those that change the model
/// @param running those that change only how the model runs; the order among the two is free
/// @param calibration what calibrated stages look at
public record Recipe(
        String name,
        List<? extends Step> steps,
        List<RunStage<?>> running,
        CalibrationOptions calibration) {
    public Recipe {
        steps = List.copyOf(steps);
        running = List.copyOf(running);
    }

    /// The steps that change weights linear by linear.
    public List<Stage<?>> stages() {
        List<Stage<?>> stages = new ArrayList<>();
        for (Step step : steps) {
            if (step instanceof Stage<?> stage) {
                stages.add(stage);
            }
        }
        return stages;
    }

    /// Whether a step takes the model as a whole.
    public boolean hasModelSteps() {
        return steps.stream().anyMatch(ModelStage.class::isInstance);
    }

    /// The recipe cut where the model has to be whole: steps that go through it linear by linear
    /// stay together, each that takes it as a whole is a recipe of its own. How the model runs
    /// belongs to the last.
    List<Recipe> legs() {
        List<List<Step>> legs = new ArrayList<>();
        for (Step step : steps) {
            if (step instanceof ModelStage
                    || legs.isEmpty()
                    || legs.getLast().getFirst() instanceof ModelStage) {
                legs.add(new ArrayList<>());
            }
            legs.getLast().add(step);
        }
        if (legs.isEmpty()
                || !running.isEmpty() && legs.getLast().getFirst() instanceof ModelStage) {
            legs.add(List.of());
        }
        List<Recipe> recipes = new ArrayList<>();
        for (int i = 0; i < legs.size(); i++) {
            recipes.add(
                    new Recipe(
                            name,
                            legs.get(i),
                            i == legs.size() - 1 ? running : List.of(),
                            calibration));
        }
        return recipes;
    }

    /// The step of a leg that takes the model as a whole; null where it goes linear by linear.
    @Nullable ModelStage<?> whole() {
        return !steps.isEmpty() && steps.getFirst() instanceof ModelStage<?> stage ? stage : null;
    }

    /// The same recipe with another calibration text.
    public Recipe withCalibrationText(String file) {
        return new Recipe(name, steps, running, calibration.withText(file));
    }

    /// The same recipe with other calibration options.
    public Recipe with(CalibrationOptions options) {
        return new Recipe(name, steps, running, options);
    }

    /// The same for every budget: what its allocations measure does not depend on that.
    Recipe withoutBudgets() {
        List<Step> same = new ArrayList<>();
        for (Step step : steps) {
            same.add(step instanceof Stage<?> stage ? stage.withoutBudget() : step);
        }
        return new Recipe(name, same, running, calibration);
    }

    /// Whether a stage looks at data, or an allocation does.
    public boolean calibrated() {
        return steps.stream()
                .anyMatch(step ->
                        switch (step) {
                            case Stage<?> stage -> stage.calibrated() || stage.allocation() != null;
                            case ModelStage<?> stage -> stage.calibrated();
                        });
    }

    /// Whether [Allocator] has to find bits before the recipe can be carried out.
    public boolean needsAllocation() {
        return stages().stream().anyMatch(stage -> stage.allocation() != null);
    }

    /// A copy of a model's `config.json` that says how the result runs.
    ObjectNode configured(JsonNode model) {
        ObjectNode result = model.deepCopy();
        running.forEach(stage -> stage.configure(result));
        return result;
    }

    /// Whether a stage looks at the original's stream too.
    boolean needsTargets() {
        return stages().stream().anyMatch(Stage::needsTargets);
    }

    /// The place of the first stage after which later ones have to reproduce the model as it is
    /// then: behind the last exact one.
    int reference() {
        int reference = 0;
        List<Stage<?>> stages = stages();
        for (int i = 0; i < stages.size(); i++) {
            reference = stages.get(i).exact() ? i + 1 : reference;
        }
        return reference;
    }

    /// The recipe with every default spelled out, as `lithe.json` records it.
    public ObjectNode toJson() {
        return RecipeParser.toJson(this);
    }

    /// The recipe up to each of its stages, the shortest first, itself last; an allocation and its
    /// stage are one.
    public List<Recipe> prefixes() {
        List<Recipe> prefixes = new ArrayList<>();
        for (int i = 1; i <= steps.size(); i++) {
            prefixes.add(new Recipe(name, steps.subList(0, i), List.of(), calibration));
        }
        for (int i = 1; i <= running.size(); i++) {
            prefixes.add(new Recipe(name, steps, running.subList(0, i), calibration));
        }
        return prefixes;
    }

    /// The name of its last stage.
    public String lastStage() {
        return running.isEmpty() ? steps.getLast().name() : running.getLast().technique().name();
    }

    /// A line for people: `cast → rtn → rtn`.
    public String summary() {
        return Stream.concat(
                        steps.stream().map(Step::name),
                        running.stream().map(stage -> stage.technique().name()))
                .collect(Collectors.joining(" → "));
    }
}
