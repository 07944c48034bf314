package dev.lithe.technique.quantize;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/// A place in a part where channels can be scaled and the model stays what it is: what makes them
/// is divided by s, the columns of all that read them are multiplied by it.
///
/// A norm feeds q, k and v, or gate and up, or the output layer. v feeds o, where every head has
/// values of its own (shared ones reach several places of o's input, each with its own best s). up
/// feeds down where there is a gate; both only where they are linears of their own.
///
/// @param slot the slot of the readers
/// @param source the linear that makes the channels, or null for the norm before `slot`
record Fold(Slot slot, @Nullable LinearName source, List<LinearName> readers) {
    Fold {
        readers = List.copyOf(readers);
    }

    /// All folds of `part`, in the order in which data passes them.
    static List<Fold> of(LoadedPart part) {
        List<Fold> folds = new ArrayList<>();
        boolean fused = part.spec().style().fused();
        for (Slot slot : part.part().slots()) {
            List<LinearName> readers = part.part().linears(slot);
            switch (slot) {
                case QKV, GATE_UP, LM_HEAD -> folds.add(new Fold(slot, null, readers));
                case O -> {
                    if (part.spec().heads() == part.spec().kvHeads() && !fused) {
                        folds.add(new Fold(slot, last(part, Slot.QKV), readers));
                    }
                }
                case DOWN -> {
                    if (!fused && part.spec().style().gated()) {
                        folds.add(new Fold(slot, last(part, Slot.GATE_UP), readers));
                    }
                }
                case EMBEDDING -> {}
            }
        }
        return folds.stream().filter(fold -> fold.allDense(part)).toList();
    }

    /// v of q, k and v; up of gate and up.
    private static LinearName last(LoadedPart part, Slot slot) {
        return part.part().linears(slot).getLast();
    }

    private boolean allDense(LoadedPart part) {
        return (source == null || part.linear(source) instanceof Linear.Dense)
                && readers.stream().allMatch(name -> part.linear(name) instanceof Linear.Dense);
    }

    /// The weights of the readers as they are by now.
    List<Linear.Dense> weights(LoadedPart part) {
        List<Linear.Dense> weights = new ArrayList<>();
        for (LinearName name : readers) {
            if (part.linear(name) instanceof Linear.Dense dense) {
                weights.add(dense);
            }
        }
        return weights;
    }

    /// The scale that costs least; the first of equals.
    static Value cheapest(List<Value> scales, ToDoubleFunction<Value> cost) {
        Value best = scales.getFirst();
        double least = Double.POSITIVE_INFINITY;
        for (Value scale : scales) {
            double found = cost.applyAsDouble(scale);
            if (found < least) {
                least = found;
                best = scale;
            }
        }
        return best;
    }

    /// Scales channels by `s` (K), or leaves them where a weight would outgrow its type.
    void apply(LoadedPart part, Value s) {
        try (var step = TensorScope.open()) {
            if (source == null) {
                intoNorm(part, s, step);
            } else {
                intoLinear(part, source, s, step);
            }
        }
    }

    private void intoNorm(LoadedPart part, Value s, TensorScope step) {
        int type = weights(part).getFirst().form().dtype().code();
        List<Value> folded = step.call("fold_norm", part.norm(slot), s, type).members();
        if (scaleReaders(part, folded.getLast(), step)) {
            part.setNorm(slot, folded.getFirst());
        }
    }

    private void intoLinear(LoadedPart part, LinearName maker, Value s, TensorScope step) {
        if (!(part.linear(maker) instanceof Linear.Dense dense)) {
            return;
        }
        @Nullable Value bias =
                dense.bias() == null ? null : step.call("divide_rows", dense.bias(), s);
        var divided =
                new Linear.Dense(step.call("divide_rows", dense.weight(), s), bias, dense.form());
        if (fits(divided, step) && scaleReaders(part, s, step)) {
            part.set(maker, divided);
        }
    }

    private boolean scaleReaders(LoadedPart part, Value s, TensorScope step) {
        List<Linear.Dense> scaled = new ArrayList<>();
        for (Linear.Dense each : weights(part)) {
            Value weight = step.call("scale_columns", each.weight(), s);
            scaled.add(new Linear.Dense(weight, each.bias(), each.form()));
        }
        if (!scaled.stream().allMatch(each -> fits(each, step))) {
            return false;
        }
        for (int i = 0; i < scaled.size(); i++) {
            part.set(readers.get(i), scaled.get(i));
        }
        return true;
    }

    private static boolean fits(Linear.Dense linear, TensorScope step) {
        int type = linear.form().dtype().code();
        return step.call("count_overflow", linear.weight(), type).integer() == 0;
    }
}
