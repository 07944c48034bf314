package dev.lithe.technique;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;

/// A technique that needs one linear layer at a time, and no data.
///
/// @param <C> its configuration
public non-sealed interface LinearTechnique<C extends Record> extends Technique {
    @Override
    C defaults();

    @Override
    default String scope() {
        return "linear";
    }

    /// Which linears the stage applies to.
    Targets targets(C config);

    /// The form that `linear` will have, from shapes alone: what the plan checks and adds up.
    ///
    /// @throws LitheException where it cannot be done; the message gives the reason and the way
    ///   out, not the linear's name
    LinearForm outcome(LinearName linear, LinearForm before, C config);

    /// Does it. Pure: `before` is left as it is.
    ///
    /// @param after what [#outcome] promised
    /// @param scope owns the result
    /// @throws LitheException where the numbers forbid it; the message does not name the linear
    Linear apply(Linear before, LinearForm after, C config, TensorScope scope);

    /// The type in which the stage leaves tensors that are no linear's (embedding, norms), given
    /// the one they have.
    default DType otherTensors(DType before, C config) {
        return before;
    }
}
