package dev.lithe.compress;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.compress.Plan.PlannedLinear;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Torch;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Applies a recipe's stages to one part of a model: stages of linear scope that follow each other
/// slot by slot, so that a slot sees what the ones before it became.
final class PartCompressor {
    /// Hears what went other than configured for a linear, and was made good.
    interface Troubles {
        void add(LinearName linear, String what);
    }

    private final Plan plan;
    private final @Nullable SequentialPass pass;
    private final Troubles troubles;

    /// @param pass carries calibration windows; null where no stage looks at data
    PartCompressor(Plan plan, @Nullable SequentialPass pass, Troubles troubles) {
        this.plan = plan;
        this.pass = pass;
        this.troubles = troubles;
    }

    /// Applies all stages.
    void compress(LoadedPart part) {
        reference(part);
        apply(part, plan.recipe().reference(), plan.recipe().stages().size());
    }

    /// Applies the stages before the reference, and takes what the part is then for what the later
    /// ones have to reproduce.
    void reference(LoadedPart part) {
        apply(part, 0, plan.recipe().reference());
        if (pass != null) {
            pass.reference(part);
        }
    }

    private void apply(LoadedPart part, int from, int to) {
        List<Stage<?>> stages = plan.recipe().stages();
        for (int first = from; first < to; ) {
            int last = first + 1;
            if (stages.get(first).takesParts()) {
                stages.get(first).applyTo(part);
            } else {
                while (last < to && !stages.get(last).takesParts()) {
                    last++;
                }
                compressLinears(part, first, last);
            }
            first = last;
        }
    }

    private void compressLinears(LoadedPart part, int first, int last) {
        for (Slot slot : part.part().slots()) {
            try (var step = TensorScope.open()) {
                var seen = new Seen(part, slot, step);
                for (LinearName name : part.part().linears(slot)) {
                    PlannedLinear planned = plan.linear(name);
                    part.set(name, compress(planned, part.linear(name), first, last, seen, step));
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
    }

    private Linear compress(
            PlannedLinear linear,
            Linear before,
            int first,
            int last,
            Supplier<InputStatistics> seen,
            TensorScope scope) {
        Linear current = before;
        for (int i = first; i < last; i++) {
            Stage<?> stage = plan.recipe().stages().get(i);
            LinearForm after = linear.forms().get(i + 1);
            try {
                Fitted fitted = stage.apply(linear.name(), current, after, seen, scope);
                current = fitted.linear();
                if (fitted.trouble() != null) {
                    troubles.add(linear.name(), stage.name() + ": " + fitted.trouble());
                }
            } catch (LitheException e) {
                throw LitheException.of(
                                e.fault(),
                                "%s, %s: %s",
                                linear.name().module(),
                                stage.name(),
                                e.getMessage())
                        .causedBy(e);
            }
        }
        return current;
    }
}
