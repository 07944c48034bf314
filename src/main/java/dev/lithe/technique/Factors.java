package dev.lithe.technique;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// Cuts weight matrices to a rank, in the measure that [Weighting] names.
public final class Factors {
    private Factors() {}

    private record Measure(Weighting weighting, double alpha) {}

    /// S (K, K) float64 for which `||(W - W') S||` is what is to be small; made once for a slot.
    ///
    /// @throws LitheException where the windows show nothing at this input
    public static Value measure(InputStatistics seen, Weighting weighting, double alpha) {
        List<Value> made =
                seen.derived(
                        new Measure(weighting, alpha),
                        owner ->
                                switch (weighting) {
                                    case NONE -> List.of(owner.call("unweighted", seen.hessian()));
                                    case ASVD ->
                                            owner.call("channel_scaling", seen.hessian(), alpha)
                                                    .members();
                                    case WHITENED ->
                                            owner.call("whitening", seen.hessian()).members();
                                });
        if (made.isEmpty()) {
            throw LitheException.badInput(
                    "its inputs are all zero, or not finite, on the calibration text; calibrate with"
                            + " another, or ignore this linear");
        }
        return made.getFirst();
    }

    /// The product of rank r that comes closest to `dense` in the measure S.
    public static Linear.LowRank cut(
            Linear.Dense dense, Value measure, long rank, TensorScope scope) {
        try (var step = TensorScope.open()) {
            int type = dense.form().dtype().code();
            List<Value> made =
                    step.call("svd_factors", dense.weight(), measure, rank, type).members();
            return linear(made.get(0), made.get(1), dense, rank, scope);
        }
    }

    /// Two factors (N, r) and (r, K) as a linear, with the bias of the one that they replace.
    public static Linear.LowRank linear(
            Value left, Value right, Linear.Dense before, long rank, TensorScope scope) {
        LinearForm.Dense form = before.form();
        requireRoom(left, form.dtype());
        requireRoom(right, form.dtype());
        return new Linear.LowRank(
                null,
                new Linear.Dense(scope.keep(right), null, form),
                new Linear.Dense(scope.keep(left), null, form),
                before.bias(),
                rank);
    }

    private static void requireRoom(Value factor, DType type) {
        try (var step = TensorScope.open()) {
            if (step.call("count_not_finite", factor).integer() > 0) {
                throw LitheException.badInput(
                        "a factor does not fit %s; put a cast to bfloat16 or float32 before",
                        type.torchName());
            }
        }
    }
}
