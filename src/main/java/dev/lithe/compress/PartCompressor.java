package dev.lithe.compress;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.compress.Plan.PlannedLinear;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Torch;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Applies a recipe's stages to one part of a model: stages of linear scope that follow each other
/// slot by slot, so that a slot sees what the ones before it became.
final class PartCompressor {
    private final Plan plan;
    private final @Nullable SequentialPass pass;

    /// @param pass carries calibration windows; null where no stage looks at data
    PartCompressor(Plan plan, @Nullable SequentialPass pass) {
        this.plan = plan;
        this.pass = pass;
    }

    /// Applies all stages.
    ///
    /// @return what became of each linear, in order
    List<LayerResult> compress(LoadedPart part) {
        Map<LinearName, LayerResult> results = new HashMap<>();
        reference(part, results);
        apply(part, plan.recipe().reference(), plan.recipe().stages().size(), results);
        return part.part().linears().stream()
                .map(name -> results.getOrDefault(name, unmeasured(name)))
                .toList();
    }

    private LayerResult unmeasured(LinearName name) {
        String form = plan.linear(name).last().label();
        return new LayerResult(name.module(), form, null, null, false, null);
    }

    /// Applies the stages before the reference, and takes what the part is then for what the later
    /// ones have to reproduce.
    void reference(LoadedPart part) {
        reference(part, new HashMap<>());
    }

    private void reference(LoadedPart part, Map<LinearName, LayerResult> results) {
        apply(part, 0, plan.recipe().reference(), results);
        if (pass != null) {
            pass.reference(part);
        }
    }

    private void apply(LoadedPart part, int from, int to, Map<LinearName, LayerResult> results) {
        List<Stage<?>> stages = plan.recipe().stages();
        for (int first = from; first < to; ) {
            int last = first + 1;
            if (stages.get(first).takesParts()) {
                compressWhole(part, stages.get(first), results);
            } else {
                while (last < to && !stages.get(last).takesParts()) {
                    last++;
                }
                compressLinears(part, first, last, results);
            }
            first = last;
        }
    }

    private void compressWhole(
            LoadedPart part, Stage<?> stage, Map<LinearName, LayerResult> results) {
        Map<LinearName, Linear> before = new HashMap<>();
        part.part().linears().forEach(name -> before.put(name, part.linear(name)));
        stage.applyTo(part);
        before.forEach((name, linear) -> {
            Linear now = part.linear(name);
            if (!stage.exact() && !now.equals(linear)) {
                String trouble = part.trouble(name);
                results.put(
                        name,
                        stage.folds()
                                ? new LayerResult(
                                        name.module(),
                                        now.form().label(),
                                        null,
                                        null,
                                        false,
                                        trouble)
                                : LayerErrors.measure(name, linear, now, null, trouble));
            }
        });
    }

    private void compressLinears(
            LoadedPart part, int first, int last, Map<LinearName, LayerResult> results) {
        for (Slot slot : part.part().slots()) {
            try (var step = TensorScope.open()) {
                var seen = new Seen(part, slot, step);
                for (LinearName name : part.part().linears(slot)) {
                    List<String> troubles = new ArrayList<>();
                    Linear before = part.linear(name);
                    Linear now = compress(name, before, first, last, seen, troubles, step);
                    Torch.releaseMemory();
                    if (now != before) {
                        seen.tellOfDeadInputs(name, troubles);
                        String trouble = troubles.isEmpty() ? null : String.join("; ", troubles);
                        results.put(
                                name,
                                LayerErrors.measure(name, before, now, seen.gathered, trouble));
                    }
                    part.set(name, now);
                    Torch.releaseMemory();
                }
            }
        }
    }

    /// Statistics of a slot's input, gathered when they are first asked for.
    private static final class Seen implements Supplier<InputStatistics> {
        private final LoadedPart part;
        private final Slot slot;
        private final TensorScope scope;
        private @Nullable InputStatistics gathered;

        Seen(LoadedPart part, Slot slot, TensorScope scope) {
            this.part = part;
            this.slot = slot;
            this.scope = scope;
        }

        @Override
        public InputStatistics get() {
            if (gathered == null) {
                gathered = part.statistics(slot, scope);
            }
            return gathered;
        }

        void tellOfDeadInputs(LinearName name, List<String> troubles) {
            long dead = gathered == null ? 0 : gathered.deadInputs();
            if (dead > 0) {
                troubles.add("%d of %d inputs are always 0".formatted(dead, name.inFeatures()));
            }
        }
    }

    private Linear compress(
            LinearName name,
            Linear before,
            int first,
            int last,
            Supplier<InputStatistics> seen,
            List<String> troubles,
            TensorScope scope) {
        PlannedLinear planned = plan.linear(name);
        Linear current = before;
        for (int i = first; i < last; i++) {
            Stage<?> stage = plan.recipe().stages().get(i);
            try {
                Fitted fitted = stage.apply(name, current, planned.forms().get(i + 1), seen, scope);
                current = fitted.linear();
                if (fitted.trouble() != null) {
                    troubles.add(stage.name() + ": " + fitted.trouble());
                }
            } catch (LitheException e) {
                throw LitheException.of(
                                e.fault(),
                                "%s, %s: %s",
                                name.module(),
                                stage.name(),
                                e.getMessage())
                        .causedBy(e);
            }
        }
        return current;
    }
}
