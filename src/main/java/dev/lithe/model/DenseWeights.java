package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// The weights that a stored linear stands for.
public final class DenseWeights {
    private DenseWeights() {}

    /// W (N, K) float32 of `linear`, owned by `into`.
    public static Value of(Linear linear, TensorScope into) {
        return switch (linear) {
            case Linear.Dense dense -> into.call("to_float", dense.weight());
            case Linear.Int8 int8 -> into.call("expand_int8", int8.weight(), int8.scale());
            case Linear.Grouped grouped -> grouped(grouped, into);
        };
    }

    private static Value grouped(Linear.Grouped linear, TensorScope into) {
        try (var step = TensorScope.open()) {
            int bits = linear.form().bits();
            Value zero =
                    linear.zero() == null
                            ? step.none()
                            : step.call(
                                    "unpack_zero", linear.zero(), bits, linear.packed().size(0));
            long k = linear.shape().longs()[1];
            return into.call("expand_grouped", linear.packed(), linear.scale(), zero, bits, k);
        }
    }
}
