package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.calibrate.Workbench.StepListener;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.Sha256;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/// Carries out a whole recipe. Steps that take the model as a whole read one folder and write
/// another, so a recipe is a chain of legs: those steps, and between them [Compressor]s for the
/// steps that go linear by linear. The folders between legs lie in `<output>.stages`, and are gone
/// when the result is whole; a run that was killed goes on behind the last finished leg, and within
/// it behind the last finished part. Many recipes that begin alike may keep those folders in one
/// place, [#run(Path, boolean, Path)], and do what they share once.
public final class Pipeline {
    /// A leg and what it will make.
    ///
    /// @param plan of the leg's steps, or of none for a step that takes the model as a whole
    /// @param running the result as it will run
    public record Leg(Recipe recipe, Plan plan, ModelSpec running) {
        /// Whether it takes the model as a whole.
        public boolean whole() {
            return recipe.whole() != null;
        }
    }

    /// What a leg made of the model in the folder `from`, in the folder `to`.
    public record Made(Recipe recipe, Path from, Path to) {}

    /// Hears of legs and of what happens in them.
    @FunctionalInterface
    public interface Listener {
        /// A leg begins, with calibration windows where it looks at data.
        ///
        /// @return hears of progress where the leg goes linear by linear
        Compressor.Listener begins(
                Leg leg, Checkpoint source, @Nullable CalibrationSet calibration);

        /// A leg finds bits for its linears.
        ///
        /// @return hears how many more are measured
        default LongConsumer allocates(Leg leg) {
            return _ -> {};
        }

        /// A leg takes the model as a whole, in steps.
        ///
        /// @return hears of them
        default StepListener steps(Leg leg) {
            return (_, _, _) -> {};
        }

        /// A leg ended, now or in an earlier run that was cut off.
        default void ended(Leg leg, boolean earlier) {}

        /// All of `legs` but the last one is made, whose folder `to` is not there yet; the folders
        /// between them go when it is.
        default void beforeLast(List<Made> legs) {}
    }

    /// Draws calibration windows for the model in a folder.
    @FunctionalInterface
    public interface Windows {
        CalibrationSet draw(Path folder, ModelSpec spec);
    }

    /// Hexadecimal digits that tell a search's recipes apart.
    private static final int FINGERPRINT = 16;

    private final Recipe recipe;
    private final Checkpoint source;
    private final @Nullable Windows windows;
    private final Listener listener;

    /// @param windows null where the recipe looks at no data
    public Pipeline(
            Recipe recipe, Checkpoint source, @Nullable Windows windows, Listener listener) {
        this.recipe = recipe;
        this.source = source;
        this.windows = windows;
        this.listener = listener;
    }

    /// Checks every leg of `recipe` against the model in `source`, and against what the legs before
    /// it will make.
    ///
    /// @throws LitheException where a leg cannot be carried out
    public static List<Leg> plan(Recipe recipe, Checkpoint source) {
        List<Leg> legs = new ArrayList<>();
        Shapes shapes = Shapes.of(source);
        for (Recipe leg : recipe.legs()) {
            ModelStage<?> whole = leg.whole();
            if (whole == null) {
                Plan plan = Plan.of(leg, shapes);
                shapes = shapes.after(plan);
                legs.add(new Leg(leg, plan, shapes.spec()));
            } else {
                try {
                    ModelSpec before = shapes.spec();
                    shapes = shapes.after(whole);
                    int context = leg.calibration().contextFor(before.maxPositions());
                    whole.check(source, before, context);
                } catch (LitheException e) {
                    throw LitheException.badInput(
                                    "recipe '%s': %s: %s",
                                    recipe.name(), whole.name(), e.getMessage())
                            .causedBy(e);
                }
                legs.add(new Leg(leg, Plan.of(leg, shapes), shapes.spec()));
            }
        }
        return legs;
    }

    /// Compresses into the folder `output`, which appears only when it is complete.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    public void run(Path output, boolean replace) {
        Path between = between(output);
        requireOurs(between);
        run(output, replace, (leg, planned) -> between.resolve(leg + "-" + planned), output);
        delete(between);
    }

    /// The same, with the folders between legs, and what allocations measured, kept in `shared`,
    /// each under the fingerprint of all that comes before it.
    public void run(Path output, boolean replace, Path shared) {
        List<Recipe> legs = recipe.legs();
        run(
                output,
                replace,
                (leg, _) -> shared.resolve(fingerprint(legs.subList(0, leg + 1))),
                shared.resolve(fingerprint(legs.stream().map(Recipe::withoutBudgets).toList())));
    }

    /// Of the first legs of a recipe; that the text and the model are the same too is checked by
    /// their hashes when a folder is found.
    private static String fingerprint(List<Recipe> legs) {
        var text = new StringBuilder();
        for (Recipe leg : legs) {
            text.append(leg.toJson()).append(leg.calibration());
        }
        return Sha256.of(text.toString().getBytes(StandardCharsets.UTF_8))
                .substring(0, FINGERPRINT);
    }

    /// Where the folder behind a leg goes, by the leg's number and summary.
    private interface Between {
        Path folder(int leg, String summary);
    }

    /// @param kept beside which [#keptPrices] lie
    private void run(Path output, boolean replace, Between between, Path kept) {
        Compressor.checkOutput(source.folder(), output, replace);
        List<Recipe> legs = recipe.legs();
        List<Leg> planned = plan(recipe, source);
        planned.forEach(leg -> requireApart(leg, output));
        List<Made> made = new ArrayList<>();
        Path from = source.folder();
        for (int i = 0; i < legs.size(); i++) {
            boolean last = i == legs.size() - 1;
            Path to = last ? output : between.folder(i, planned.get(i).recipe().summary());
            made.add(new Made(legs.get(i), from, to));
            if (last) {
                listener.beforeLast(made);
            }
            run(planned.get(i), from, to, keptPrices(kept, i), last, replace || !last);
            from = to;
        }
    }

    private static void requireApart(Leg leg, Path output) {
        ModelStage<?> whole = leg.recipe().whole();
        if (whole == null) {
            return;
        }
        Path target = output.toAbsolutePath().normalize();
        for (Path each : whole.writes()) {
            Path written = each.toAbsolutePath().normalize();
            if (written.startsWith(target) || target.startsWith(written)) {
                throw LitheException.badInput(
                        "%s writes to %s, and the result goes to %s; choose folders apart",
                        whole.name(), each, output);
            }
        }
    }

    private static Path between(Path output) {
        return output.resolveSibling(output.getFileName() + ".stages");
    }

    /// Where a listener may make a model of its own, as long as [#run] has not made `output`.
    public static Path scratch(Path output) {
        return between(output).resolve("0-each");
    }

    /// The file that keeps what the allocations of a leg have measured, as long as [#run] has not
    /// made `output`.
    public static Path keptPrices(Path output, int leg) {
        return between(output).resolve(leg + "-prices.jsonl");
    }

    private void run(Leg leg, Path from, Path to, Path prices, boolean last, boolean replace) {
        try (Checkpoint model = Checkpoint.open(from)) {
            CalibrationSet set =
                    leg.recipe().calibrated() && windows != null
                            ? windows.draw(from, ModelSpec.of(model.config(), from.toString()))
                            : null;
            ModelStage<?> whole = leg.recipe().whole();
            Checkpoint original = whole != null && whole.needsOriginal() ? source : null;
            JsonNode origin = Origin.of(leg.recipe(), model, set, original);
            if (!last && isMade(to, origin)) {
                listener.ended(leg, true);
                return;
            }
            Compressor.Listener progress = listener.begins(leg, model, set);
            if (whole == null) {
                Recipe found = measured(settled(leg, model, set, prices), model, set);
                Plan plan = Plan.of(found, model);
                new Compressor(plan, model, set, progress).run(to, replace, origin);
            } else {
                StepListener steps = listener.steps(leg);
                new Reshaper(leg.recipe(), whole, model, set, original, steps).run(to, replace);
            }
            listener.ended(leg, false);
        }
    }

    private static boolean isMade(Path folder, JsonNode origin) {
        if (!Files.exists(folder)) {
            return false;
        }
        try (Checkpoint made = Checkpoint.open(folder)) {
            JsonNode lithe = made.json("lithe.json");
            return lithe != null && lithe.path(Compressor.ORIGIN).equals(origin.path("sha256"));
        } catch (LitheException _) {
            return false;
        }
    }

    private Recipe settled(Leg leg, Checkpoint model, @Nullable CalibrationSet set, Path prices) {
        if (!leg.recipe().needsAllocation() || set == null) {
            return leg.recipe();
        }
        ModelSpec spec = ModelSpec.of(model.config(), model.folder().toString());
        return new Allocator(model, spec, set, prices, listener.allocates(leg))
                .settle(leg.recipe());
    }

    /// With what stages settle that measure the model as a whole first.
    private static Recipe measured(Recipe recipe, Checkpoint model, @Nullable CalibrationSet set) {
        if (recipe.stages().stream().noneMatch(Stage::settles)) {
            return recipe;
        }
        try (var whole = WholeModel.open(model, set)) {
            List<Step> steps = new ArrayList<>();
            for (Step step : recipe.steps()) {
                steps.add(
                        step instanceof Stage<?> stage && stage.settles()
                                ? stage.settled(whole)
                                : step);
            }
            return new Recipe(recipe.name(), steps, recipe.running(), recipe.calibration());
        }
    }

    /// The folder between legs holds nothing but what Lithe wrote.
    private static void requireOurs(Path between) {
        if (!Files.exists(between)) {
            return;
        }
        try (var files = Files.list(between)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString();
                if (!name.matches("\\d+-.*")) {
                    throw LitheException.badInput(
                            "%s holds %s, which Lithe did not put there; choose another --output",
                            between, name);
                }
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", between, e.getMessage())
                    .causedBy(e);
        }
    }

    /// Removes a folder that only [#run] wrote into, where it exists.
    public static void delete(Path folder) {
        if (!Files.exists(folder)) {
            return;
        }
        try (var files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw LitheException.of(
                            Fault.INTERNAL, "%s cannot be removed: %s", folder, e.getMessage())
                    .causedBy(e);
        }
    }
}
