package dev.lithe.technique;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.tensor.TensorScope;
import org.jspecify.annotations.Nullable;

/// A technique that needs one linear layer at a time, and what its inputs look like.
///
/// @param <C> its configuration
public non-sealed interface CalibratedLinearTechnique<C extends Record> extends WeightTechnique<C> {
    /// A compressed linear.
    ///
    /// @param trouble what went other than configured, for the user; null when nothing did
    record Fitted(Linear linear, @Nullable String trouble) {}

    /// Whether it looks at data; without, all inputs count alike.
    default boolean calibrated(C config) {
        return true;
    }

    /// Does it. Pure: `before` and `seen` are left as they are.
    ///
    /// @param after what [#outcome] promised
    /// @param seen statistics of the linear's input, K wide, in the model as compressed so far
    /// @param scope owns the result
    /// @throws LitheException where the numbers forbid it; the message does not name the linear
    Fitted apply(
            Linear before, LinearForm after, InputStatistics seen, C config, TensorScope scope);
}
