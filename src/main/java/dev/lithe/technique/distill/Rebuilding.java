package dev.lithe.technique.distill;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Norm;
import dev.lithe.technique.distill.FlatModel.Place;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import org.jspecify.annotations.Nullable;

/// Makes a model again of the tensors that were trained, in the forms and types that it had: what
/// adapters learned goes into dense weights, and stays beside quantized ones.
final class Rebuilding {
    private final FlatModel flat;
    private final boolean whole;

    /// @param whole whether all weights were trained, and not adapters
    Rebuilding(FlatModel flat, boolean whole) {
        this.flat = flat;
        this.whole = whole;
    }

    /// The form in which training leaves `linear` that has the form `before`.
    ///
    /// @param rank of adapters; 0 where all weights are trained
    /// @throws LitheException where it cannot be trained
    static LinearForm outcome(LinearName linear, LinearForm before, int rank) {
        if (rank > 0 && linear.block() < 0 || linear.routes()) {
            return before; // it learns nothing
        }
        return switch (before) {
            case LinearForm.Dense _, LinearForm.Masked _ -> before;
            case LinearForm.LowRank thin -> {
                requireFloats(thin.right());
                requireFloats(thin.left());
                if (rank == 0 && thin.base() != null) {
                    requireFloats(thin.base());
                }
                yield before;
            }
            case LinearForm.Shared shared -> {
                if (rank > 0 && !(shared.of() instanceof LinearForm.LowRank)) {
                    throw LitheException.badInput(
                            "linears of several blocks are one weight, which no adapter of one block"
                                    + " can go into; choose rank 0, which trains all weights");
                }
                LinearForm _ = outcome(linear, shared.of(), rank);
                yield before;
            }
            case LinearForm.Int8 _,
                    LinearForm.Float8 _,
                    LinearForm.Codebook _,
                    LinearForm.Grouped _ ->
                    beside(linear, before, rank);
        };
    }

    private static LinearForm beside(LinearName linear, LinearForm before, int rank) {
        if (rank == 0) {
            throw LitheException.badInput(
                    "linears are already %s, whose weights cannot be trained; choose rank 16, which"
                            + " trains adapters beside them, or put it before",
                    before.label());
        }
        int most = Math.min(linear.outFeatures(), linear.inFeatures());
        if (rank > most) {
            throw LitheException.badInput(
                    "rank is %d, and a %d x %d matrix has at most %d; choose less",
                    rank, linear.outFeatures(), linear.inFeatures(), most);
        }
        var factor = new LinearForm.Dense(Linear.floatType(before));
        return new LinearForm.LowRank(before, factor, factor, rank);
    }

    private static void requireFloats(LinearForm part) {
        LinearForm form = part instanceof LinearForm.Shared shared ? shared.of() : part;
        if (!(form instanceof LinearForm.Dense)) {
            throw LitheException.badInput(
                    "factors of linears are already %s, which cannot be trained; put it before",
                    form.label());
        }
    }

    /// Gives `made` the values of `from`, which was flattened, as training left them.
    ///
    /// @throws LitheException where a weight is too large for its type
    void into(WholeModel made, WholeModel from) {
        if (whole) {
            set(made.embedding(), from.embedding(), Slot.EMBEDDING, 0);
            made.output().setNorm(Norm.FINAL, flat.tensor(1));
            if (!made.output().part().linears().isEmpty()) {
                set(made.output(), from.output(), Slot.LM_HEAD, 2);
            }
        } else {
            made.take(made.embedding(), from.embedding());
            made.take(made.output(), from.output());
        }
        for (int i = 0; i < made.blocks().size(); i++) {
            block(made.blocks().get(i), from.blocks().get(i));
        }
    }

    private void set(LoadedPart to, LoadedPart from, Slot slot, int index) {
        LinearName name = to.part().linears(slot).getFirst();
        try (var step = TensorScope.open()) {
            to.set(name, stored(from.linear(name), index, null, name.module(), step));
        }
    }

    private void block(LoadedPart to, LoadedPart from) {
        for (Norm norm : to.part().norms().keySet()) {
            int index = Flattening.norm(to.part().block(), norm.ordinal());
            to.setNorm(norm, flat.isTrained(index) ? flat.tensor(index) : from.norm(norm));
        }
        for (LinearName name : to.part().linears()) {
            try (var step = TensorScope.open()) {
                Place place = flat.place(name);
                to.set(name, rebuilt(from.linear(name), place, name.module(), step));
            }
        }
    }

    private Linear rebuilt(Linear from, Place place, String module, TensorScope step) {
        @Nullable Value bias = from.bias();
        if (bias != null && place.bias() >= 0 && flat.isTrained(place.bias())) {
            bias = typed(flat.tensor(place.bias()), from.floatType(), module, step);
        }
        if (from instanceof Linear.Shared shared) {
            return new Linear.Shared(
                    rebuilt(shared.of(), place, module, step), bias, shared.form());
        }
        if (from instanceof Linear.LowRank thin) {
            Linear base = thin.base();
            return new Linear.LowRank(
                    base == null ? null : stored(base, place.weight(), null, module, step),
                    stored(thin.right(), place.right(), null, module, step),
                    stored(thin.left(), place.left(), null, module, step),
                    bias,
                    thin.form());
        }
        if (!place.adapter()) {
            return stored(from, place.weight(), bias, module, step);
        }
        if (from instanceof Linear.Dense || from instanceof Linear.Masked) {
            Value merged = merged(from, place, step);
            return stored(from, merged, bias, module, step);
        }
        DType type = from.floatType();
        Value right = typed(flat.tensor(place.right()), type, module, step);
        Value left = typed(flat.tensor(place.left()), type, module, step);
        var form = new LinearForm.Dense(type);
        return new Linear.LowRank(
                withoutBias(from),
                new Linear.Dense(right, null, form),
                new Linear.Dense(left, null, form),
                bias,
                right.size(0));
    }

    private Value merged(Linear from, Place place, TensorScope step) {
        Value kept = place.kept() < 0 ? step.none() : flat.tensor(place.kept());
        return step.call(
                "train_merged",
                DenseWeights.of(from, step),
                kept,
                flat.tensor(place.right()),
                flat.tensor(place.left()),
                1.0);
    }

    private static Linear withoutBias(Linear linear) {
        return switch (linear) {
            case Linear.Int8 a -> new Linear.Int8(a.weight(), a.scale(), null, a.form());
            case Linear.Float8 a -> new Linear.Float8(a.weight(), a.scale(), null, a.form());
            case Linear.Codebook a ->
                    new Linear.Codebook(
                            a.indices(), a.table(), a.scales(), a.shape(), null, a.form());
            case Linear.Grouped a ->
                    new Linear.Grouped(a.packed(), a.scale(), a.zero(), a.shape(), null, a.form());
            case Linear.Dense _, Linear.Masked _, Linear.LowRank _, Linear.Shared _ -> linear;
        };
    }

    /// A linear, or a part of one, as it was, or where its tensor was trained with that.
    private Linear stored(
            Linear from, int index, @Nullable Value bias, String module, TensorScope step) {
        return flat.isTrained(index) ? stored(from, flat.tensor(index), bias, module, step) : from;
    }

    private Linear stored(
            Linear from, Value weight, @Nullable Value bias, String module, TensorScope step) {
        return switch (from) {
            case Linear.Shared shared ->
                    new Linear.Shared(
                            stored(shared.of(), weight, null, module, step), bias, shared.form());
            case Linear.Masked masked -> {
                Value values = step.call("masked_values", weight, masked.mask());
                DType type = masked.form().valueType();
                yield new Linear.Masked(
                        masked.mask(),
                        typed(values, type, module, step),
                        masked.shape(),
                        bias,
                        masked.form());
            }
            case Linear.Dense dense ->
                    new Linear.Dense(
                            typed(weight, dense.form().dtype(), module, step), bias, dense.form());
            case Linear.Int8 _,
                    Linear.Float8 _,
                    Linear.Codebook _,
                    Linear.Grouped _,
                    Linear.LowRank _ ->
                    from; // the plan lets none of them learn
        };
    }

    private static Value typed(Value trained, DType type, String module, TensorScope step) {
        if (step.call("count_overflow", trained, type.code()).integer() > 0) {
            throw LitheException.badInput(
                    "%s: training made weights too large for %s; lower learning_rate",
                    module, type.torchName());
        }
        return step.call("train_stored", trained, type.code());
    }
}
