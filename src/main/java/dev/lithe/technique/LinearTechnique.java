package dev.lithe.technique;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.tensor.TensorScope;

/// A technique that needs one linear layer at a time, and no data.
///
/// @param <C> its configuration
public non-sealed interface LinearTechnique<C extends Record> extends WeightTechnique<C> {
    /// Does it. Pure: `before` is left as it is.
    ///
    /// @param after what [#outcome] promised
    /// @param scope owns the result
    /// @throws LitheException where the numbers forbid it; the message does not name the linear
    Linear apply(Linear before, LinearForm after, C config, TensorScope scope);
}
