package dev.lithe.technique;

import dev.lithe.model.Linear;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import org.jspecify.annotations.Nullable;

/// Dense linears with some of their outputs or inputs, or with all in another order.
public final class Cut {
    private Cut() {}

    /// A linear of a stage whose plan refuses others than dense ones.
    public static Linear.Dense dense(Linear linear) {
        return (Linear.Dense) linear;
    }

    /// Only the outputs `kept`, biases too.
    ///
    /// @param kept (n) int64
    public static Linear.Dense rows(Linear linear, Value kept, TensorScope scope) {
        Linear.Dense dense = dense(linear);
        Value bias = dense.bias() == null ? null : scope.call("select", dense.bias(), 0, kept);
        return new Linear.Dense(scope.call("select", dense.weight(), 0, kept), bias, dense.form());
    }

    /// Only the inputs `kept`.
    ///
    /// @param kept (n) int64
    public static Linear.Dense columns(Linear linear, Value kept, TensorScope scope) {
        Linear.Dense dense = dense(linear);
        return new Linear.Dense(
                scope.call("select", dense.weight(), 1, kept), dense.bias(), dense.form());
    }

    /// The same with a bias, zeros where it had none.
    ///
    /// @param more what is added to it, or null
    public static Linear.Dense withBias(Linear linear, @Nullable Value more, TensorScope scope) {
        Linear.Dense dense = dense(linear);
        Value bias =
                dense.bias() == null
                        ? scope.call("zeros_of", dense.weight().size(0))
                        : dense.bias();
        return new Linear.Dense(
                dense.weight(), more == null ? bias : scope.call("plus", bias, more), dense.form());
    }
}
