package dev.lithe.technique.prune;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// What pruning techniques have in common: which form they leave a linear in, and how weights and a
/// mask become it.
final class Pruned {
    private Pruned() {}

    /// `before`, if it is still dense.
    static LinearForm.Dense requireDense(LinearForm before) {
        if (before instanceof LinearForm.Dense dense) {
            return dense;
        }
        throw LitheException.badInput(
                "already %s; prune the dense model, before anything else", before.label());
    }

    /// The form of `linear` with `zeros` of its weights gone.
    static LinearForm form(
            LinearName linear, LinearForm.Dense before, long zeros, Storage storage) {
        var masked =
                new LinearForm.Masked(before.dtype(), linear.weights() - zeros, linear.weights());
        int n = linear.outFeatures();
        int k = linear.inFeatures();
        return storage == Storage.COMPACT && masked.bytes(n, k) < before.bytes(n, k)
                ? masked
                : before;
    }

    /// `dense` in the form `after`.
    ///
    /// @param weights (N, K), whatever they are where `keep` is false
    /// @param keep (N, K) booleans
    static Linear linear(
            Linear.Dense dense, LinearForm after, Value weights, Value keep, TensorScope scope) {
        int type = dense.form().dtype().code();
        if (!(after instanceof LinearForm.Masked masked)) {
            try (var step = TensorScope.open()) {
                Value zeroed = step.call("zero_out", weights, keep);
                return new Linear.Dense(
                        scope.call("cast", zeroed, type), dense.bias(), dense.form());
            }
        }
        List<Value> packed = scope.call("pack_masked", weights, keep, type).members();
        Value shape = scope.tensor(weights.shape(), 2);
        return new Linear.Masked(packed.get(0), packed.get(1), shape, dense.bias(), masked);
    }
}
