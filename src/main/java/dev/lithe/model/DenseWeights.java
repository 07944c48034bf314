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
            case Linear.Float8 float8 -> into.call("expand_int8", float8.weight(), float8.scale());
            case Linear.Codebook codebook -> codebook(codebook, into);
            case Linear.Masked masked -> {
                long k = masked.shape().longs()[1];
                yield into.call("expand_masked", masked.mask(), masked.values(), k);
            }
            case Linear.Grouped grouped -> grouped(grouped, into);
            case Linear.LowRank factors -> product(factors, into);
            case Linear.Shared shared -> of(shared.of(), into);
        };
    }

    /// Some rows of W, (R, K) float32, without expanding the others where the form allows it.
    ///
    /// @param ids (R) int64
    public static Value rows(Linear linear, Value ids, TensorScope into) {
        try (var step = TensorScope.open()) {
            return switch (linear) {
                case Linear.Dense dense -> into.call("to_float", picked(dense.weight(), ids, step));
                case Linear.Int8 int8 ->
                        into.call(
                                "expand_int8",
                                picked(int8.weight(), ids, step),
                                picked(int8.scale(), ids, step));
                case Linear.Grouped grouped -> {
                    Value zero = zero(grouped, step);
                    yield into.call(
                            "expand_grouped",
                            picked(grouped.packed(), ids, step),
                            picked(grouped.scale(), ids, step),
                            grouped.zero() == null ? zero : picked(zero, ids, step),
                            grouped.form().bits(),
                            grouped.shape().longs()[1]);
                }
                case Linear.Float8 _,
                        Linear.Codebook _,
                        Linear.Masked _,
                        Linear.LowRank _,
                        Linear.Shared _ ->
                        picked(of(linear, step), ids, into);
            };
        }
    }

    private static Value picked(Value rows, Value ids, TensorScope into) {
        return into.call("select", rows, 0, ids);
    }

    private static Value product(Linear.LowRank linear, TensorScope into) {
        try (var step = TensorScope.open()) {
            Value base = linear.base() == null ? step.none() : of(linear.base(), step);
            return into.call("product", of(linear.left(), step), of(linear.right(), step), base);
        }
    }

    private static Value codebook(Linear.Codebook linear, TensorScope into) {
        try (var step = TensorScope.open()) {
            Value scale = linear.scales() == null ? step.none() : linear.scales().read(step);
            int bits = linear.form().bits();
            long k = linear.shape().longs()[1];
            return into.call("expand_codebook", linear.indices(), linear.table(), scale, bits, k);
        }
    }

    private static Value grouped(Linear.Grouped linear, TensorScope into) {
        try (var step = TensorScope.open()) {
            int bits = linear.form().bits();
            Value zero = zero(linear, step);
            long k = linear.shape().longs()[1];
            return into.call("expand_grouped", linear.packed(), linear.scale(), zero, bits, k);
        }
    }

    /// The zero points among the signed codes, (N, K / g) int32 or float32; absent when symmetric.
    public static Value zero(Linear.Grouped linear, TensorScope into) {
        int bits = linear.form().bits();
        if (linear.zero() == null) {
            return into.none();
        }
        return linear.form().zero() == LinearForm.ZeroPoint.FRACTIONAL
                ? into.call("fractional_zero", linear.zero(), bits)
                : into.call("unpack_zero", linear.zero(), bits, linear.packed().size(0));
    }
}
