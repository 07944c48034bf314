package dev.lithe.compress;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.DivergenceProbe;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.technique.quantize.BitAllocation;
import dev.lithe.tensor.Machine;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/// Settles the allocations of a recipe: measures what each linear's widths would cost the model,
/// and gives each the one that the budget allows. The measure is explained at [BitAllocation]. What
/// is measured is kept in a file ([KeptPrices]) where one is named.
public final class Allocator {
    private static final double BITS_PER_BYTE = 8;

    private final Checkpoint source;
    private final LinearReader reader;
    private final ModelSpec spec;
    private final CalibrationSet calibration;
    private final LongConsumer progress;
    private final @Nullable Path kept;

    /// An allocator for the model in `source`.
    ///
    /// @param kept the file for what is measured; null to keep nothing
    /// @param progress hears how many more linears are measured
    public Allocator(
            Checkpoint source,
            ModelSpec spec,
            CalibrationSet calibration,
            @Nullable Path kept,
            LongConsumer progress) {
        this.source = source;
        this.reader = new LinearReader(source);
        this.spec = spec;
        this.calibration = calibration;
        this.kept = kept;
        this.progress = progress;
    }

    /// Refuses a model that does not fit into the memory of `machine`: an allocation holds it
    /// whole.
    public static void requireRoom(Checkpoint source, Machine machine) {
        if (source.tensorBytes() > machine.availableBytes()) {
            throw LitheException.badInput(
                    "bit_allocation holds the whole model, %d MB, and %d MB of memory are free; end other"
                            + " programs, or choose bits by overrides",
                    source.tensorBytes() >> 20, machine.availableBytes() >> 20);
        }
    }

    /// `recipe` with every allocation settled.
    ///
    /// @throws LitheException where a budget is less than the smallest widths take
    public Recipe settle(Recipe recipe) {
        Map<Stage<?>, Task<?>> tasks = new LinkedHashMap<>();
        for (Stage<?> stage : recipe.stages()) {
            if (stage.allocation() != null) {
                tasks.put(stage, task(recipe, stage, stage.allocation()));
            }
        }
        if (kept == null) {
            return settle(recipe, tasks, null);
        }
        try (var prices =
                KeptPrices.open(kept, Origin.of(recipe.withoutBudgets(), source, calibration))) {
            try {
                return settle(recipe, tasks, prices);
            } catch (LitheException e) {
                if (e.fault() == Fault.BAD_INPUT) {
                    prices.delete();
                }
                throw e;
            }
        }
    }

    private Recipe settle(
            Recipe recipe, Map<Stage<?>, Task<?>> tasks, @Nullable KeptPrices prices) {
        List<Step> steps = new ArrayList<>();
        for (Stage<?> stage : recipe.stages()) {
            Task<?> task = tasks.get(stage);
            steps.add(task == null ? stage : settle(task, prices));
        }
        return new Recipe(recipe.name(), steps, recipe.running(), recipe.calibration());
    }

    /// A stage whose bits are to be chosen.
    ///
    /// @param number its place among the recipe's stages
    /// @param before its linears, in the form that it gets them in
    /// @param budget bytes for its linears, not less than the smallest widths take
    private record Task<C extends Record>(
            Stage<C> stage,
            Widths widths,
            int number,
            Map<LinearName, LinearForm> before,
            long budget) {}

    private <C extends Record> Task<C> task(
            Recipe recipe, Stage<C> stage, BitAllocation.Config allocation) {
        var widths = new Widths(stage, allocation);
        Plan plan = Plan.of(recipe, source);
        int number = recipe.stages().indexOf(stage);
        Map<LinearName, LinearForm> before = new LinkedHashMap<>();
        for (Part part : Architecture.parts(spec)) {
            for (LinearName name : part.linears()) {
                if (widths.chooses(name)) {
                    LinearForm form = plan.linear(name).forms().get(number);
                    if (!(form instanceof LinearForm.Dense)) {
                        throw LitheException.badInput(
                                "recipe '%s': bit_allocation weighs dense linears, and %s is %s by then;"
                                        + " leave out the stages before it",
                                recipe.name(), name.module(), form.label());
                    }
                    before.put(name, form);
                }
            }
        }
        if (before.isEmpty()) {
            throw LitheException.badInput(
                    "recipe '%s': bit_allocation has nothing to choose: %s takes no linear, or no group"
                            + " size of its list divides one",
                    recipe.name(), stage.name());
        }
        long budget = budget(plan, number, allocation, before.keySet());
        long least =
                before.entrySet().stream()
                        .mapToLong(each -> widths.least(each.getKey(), each.getValue()))
                        .sum();
        if (least > budget) {
            throw LitheException.badInput(
                    "recipe '%s': bit_allocation has %d bytes for the linears of %s, the smallest widths"
                            + " take %d; allow more bytes or fewer bits",
                    recipe.name(), Math.max(0, budget), stage.name(), least);
        }
        return new Task<>(stage, widths, number, before, budget);
    }

    private <C extends Record> Stage<C> settle(Task<C> task, @Nullable KeptPrices prices) {
        Map<LinearName, List<Choice>> choices = measure(task, prices);
        int[] solution = Knapsack.solve(List.copyOf(choices.values()), task.budget());
        Map<LinearName, Choice> chosen = new LinkedHashMap<>();
        choices.forEach((name, list) -> chosen.put(name, list.get(solution[chosen.size()])));
        return task.stage().allocated(chosen);
    }

    /// Bytes for `linears` together.
    private static long budget(
            Plan plan,
            int number,
            BitAllocation.Config allocation,
            Collection<LinearName> linears) {
        if (allocation.maxBytes() == 0) {
            long weights = linears.stream().mapToLong(LinearName::weights).sum();
            return (long) (allocation.averageBits() / BITS_PER_BYTE * weights);
        }
        long theirs = 0;
        for (LinearName name : linears) {
            LinearForm form = plan.linear(name).forms().get(number + 1);
            theirs += form.bytes(name.outFeatures(), name.inFeatures());
        }
        return allocation.maxBytes() - (plan.bytes() - theirs);
    }

    private Map<LinearName, List<Choice>> measure(Task<?> task, @Nullable KeptPrices prices) {
        Map<LinearName, List<Choice>> choices = new LinkedHashMap<>();
        List<LoadedPart> parts = new ArrayList<>();
        try (var pass = new SequentialPass(calibration, spec, false, null)) {
            for (Part part : Architecture.parts(spec)) {
                parts.add(load(part, pass));
            }
            try (var probe =
                    new DivergenceProbe(
                            parts, calibration.first(task.widths().allocation().samples()))) {
                for (LoadedPart part : parts) {
                    Map<LinearName, List<Choice>> known =
                            prices == null ? null : prices.of(task.number(), part.part());
                    if (known == null) {
                        known = price(part, task, new WidthPrices(task.widths(), probe));
                        if (prices != null) {
                            prices.add(task.number(), part.part(), known);
                        }
                    } else {
                        progress.accept(known.size());
                    }
                    choices.putAll(known);
                    pass.advance(part);
                }
            }
        } finally {
            parts.forEach(LoadedPart::close);
        }
        return choices;
    }

    private LoadedPart load(Part part, SequentialPass pass) {
        var loaded = new LoadedPart(spec, part, pass);
        try {
            loaded.load(reader, source);
            FiniteTensors.require(source.folder(), loaded);
            return loaded;
        } catch (RuntimeException e) {
            loaded.close();
            throw e;
        }
    }

    private Map<LinearName, List<Choice>> price(LoadedPart part, Task<?> task, WidthPrices prices) {
        Map<LinearName, List<Choice>> choices = new LinkedHashMap<>();
        for (Slot slot : part.part().slots()) {
            List<LinearName> linears =
                    part.part().linears(slot).stream().filter(task.before()::containsKey).toList();
            if (!linears.isEmpty()) {
                try (var step = TensorScope.open()) {
                    InputStatistics seen = part.statistics(slot, step);
                    for (LinearName name : linears) {
                        LinearForm before = Objects.requireNonNull(task.before().get(name));
                        choices.put(name, prices.of(name, part.linear(name), before, seen));
                        progress.accept(1);
                    }
                }
            }
        }
        return choices;
    }
}
