package dev.lithe.technique.quantize;

import dev.lithe.model.Linear;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// A random orthogonal matrix R (d, d) that spreads each channel over many: signs, then a Hadamard
/// transform of the largest power of two that divides d, then a random orthogonal matrix over what
/// is left of d.
///
/// Linears are rotated exactly: their weights become float32, whatever they will be stored as.
final class Rotation {
    private final Value signs;
    private final Value mixer;

    /// The rotation of width `d` that `random` draws; it lives in `scope`.
    Rotation(int d, Random random, TensorScope scope) {
        int odd = d / Integer.lowestOneBit(d);
        float[] drawn = new float[d];
        for (int i = 0; i < d; i++) {
            drawn[i] = random.nextBoolean() ? 1 : -1;
        }
        float[] gaussian = new float[odd * odd];
        for (int i = 0; i < gaussian.length; i++) {
            gaussian[i] = (float) random.nextGaussian();
        }
        this.signs = scope.tensor(drawn, d);
        this.mixer = scope.call("orthogonal", scope.tensor(gaussian, odd, odd));
    }

    /// Rows (n, d) of a table, as x R.
    Linear.Dense rows(Linear.Dense linear, TensorScope scope) {
        return with(
                linear, scope.call("rotate_rows", linear.weight(), signs, mixer), linear.bias());
    }

    /// A linear that reads a normed stream, for a stream that is rotated and a norm without scale.
    Linear.Dense reader(Linear.Dense linear, Value norm, TensorScope scope) {
        Value rotated = scope.call("rotate_inputs", linear.weight(), norm, signs, mixer);
        return with(linear, rotated, linear.bias());
    }

    /// A linear that adds to the stream.
    Linear.Dense writer(Linear.Dense linear, TensorScope scope) {
        Value rotated = scope.call("rotate_outputs", linear.weight(), signs, mixer);
        return with(linear, rotated, bias(linear, scope));
    }

    /// A linear that makes heads of width d, each rotated by itself.
    Linear.Dense headWriter(Linear.Dense linear, TensorScope scope) {
        Value rotated = scope.call("rotate_head_outputs", linear.weight(), signs, mixer);
        return with(linear, rotated, bias(linear, scope));
    }

    /// A linear that reads heads of width d.
    Linear.Dense headReader(Linear.Dense linear, TensorScope scope) {
        Value rotated = scope.call("rotate_head_inputs", linear.weight(), signs, mixer);
        return with(linear, rotated, linear.bias());
    }

    private @Nullable Value bias(Linear.Dense linear, TensorScope scope) {
        return linear.bias() == null
                ? null
                : scope.call("rotate_bias", linear.bias(), signs, mixer);
    }

    private static Linear.Dense with(Linear.Dense linear, Value weight, @Nullable Value bias) {
        return new Linear.Dense(weight, bias, linear.form());
    }
}
