package dev.lithe.technique;

import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.DType;

/// A technique that changes one linear layer at a time.
///
/// @param <C> its configuration
public sealed interface LinearScope<C extends Record> extends Technique
        permits LinearTechnique, CalibratedLinearTechnique {
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

    /// The type in which the stage leaves tensors that are no linear's (embedding, norms), given
    /// the one they have.
    default DType otherTensors(DType before, C config) {
        return before;
    }
}
