package dev.lithe.compress;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import dev.lithe.tensor.Machine;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What carrying out a whole recipe takes: the most that a leg takes in memory, the sum in time and
/// on disk. Of steps that take the model as a whole only trainings are estimated.
///
/// @param unknown legs without a cost
/// @param calibration windows that the recipe looks at in the beginning, or null
public record Needs(
        Recipe recipe,
        List<Pipeline.Leg> legs,
        List<Cost> costs,
        List<Pipeline.Leg> unknown,
        @Nullable CalibrationSet calibration) {
    public Needs {
        legs = List.copyOf(legs);
        costs = List.copyOf(costs);
        unknown = List.copyOf(unknown);
    }

    /// Of `recipe` for the model in `source`.
    ///
    /// @throws dev.lithe.fault.LitheException where it cannot be carried out
    public static Needs of(Recipe recipe, Checkpoint source, @Nullable CalibrationSet calibration) {
        List<Pipeline.Leg> legs = Pipeline.plan(recipe, source);
        List<Cost> costs = new ArrayList<>();
        List<Pipeline.Leg> unknown = new ArrayList<>();
        for (Pipeline.Leg leg : legs) {
            Cost cost = cost(leg, source, leg.recipe().calibrated() ? calibration : null);
            if (cost == null) {
                unknown.add(leg);
            } else {
                costs.add(cost);
            }
        }
        return new Needs(recipe, legs, costs, unknown, calibration);
    }

    private static @Nullable Cost cost(
            Pipeline.Leg leg, Checkpoint source, @Nullable CalibrationSet windows) {
        ModelStage<?> whole = leg.recipe().whole();
        if (whole == null) {
            return Cost.of(leg.plan(), source.tensorBytes(), windows, Machine.here());
        }
        if (windows == null) {
            return null;
        }
        ModelSpec original = ModelSpec.of(source.config(), source.folder().toString());
        Effort effort = whole.effort(original, leg.running(), windows);
        return effort == null ? null : Cost.of(whole.name(), effort, leg.plan().bytes());
    }

    /// What the last leg makes.
    public Plan result() {
        return legs.getLast().plan();
    }

    /// The result as it will run.
    public ModelSpec running() {
        return legs.getLast().running();
    }

    /// The most anonymous memory at a time.
    public long memoryBytes() {
        return costs.stream().mapToLong(Cost::memoryBytes).max().orElse(0);
    }

    /// The most on disk at a time: the folders between legs stay until the end.
    public long diskBytes() {
        long between =
                legs.subList(0, legs.size() - 1).stream()
                        .mapToLong(leg -> leg.plan().bytes())
                        .sum();
        return between + costs.stream().mapToLong(Cost::diskBytes).max().orElse(result().bytes());
    }

    /// Whether windows' streams go to files.
    public boolean spills() {
        return costs.stream().anyMatch(Cost::spills);
    }

    /// Seconds of each stage, and of what lies between, by name.
    public Map<String, Double> seconds() {
        Map<String, Double> seconds = new LinkedHashMap<>();
        costs.forEach(cost ->
                cost.seconds().forEach((name, each) -> seconds.merge(name, each, Double::sum)));
        return seconds;
    }

    /// Seconds of all.
    public double totalSeconds() {
        return costs.stream().mapToDouble(Cost::totalSeconds).sum();
    }

    /// Refuses what cannot fit into the memory of this machine or on the disk that holds `output`.
    public void requireRoom(Path output) {
        costs.forEach(cost -> cost.requireRoom(output, Machine.here()));
    }
}
