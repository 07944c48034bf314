package dev.lithe.technique;

import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.DType;
import java.util.List;
import java.util.Map;

/// A technique that gives linear layers other weights and leaves the model's shapes as they are.
///
/// @param <C> its configuration
public sealed interface WeightTechnique<C extends Record> extends Technique
        permits LinearTechnique, CalibratedLinearTechnique, BlockTechnique {
    /// Operations of a matrix product in the time that one pass over an element takes.
    double ELEMENT = 32;

    /// A float32 copy, codes as four bytes each before they are packed, and the slices between.
    long WORKING_BYTES = 10;

    @Override
    C defaults();

    @Override
    default String scope() {
        return "linear";
    }

    /// Which linears the stage applies to.
    Targets targets(C config);

    /// Floating-point operations of compressing `linear`, for the plan's estimate of time: those of
    /// matrix products as they are, and each element that something simpler touches as [#ELEMENT]
    /// of them, since that is bound by memory.
    default double operations(LinearName linear, C config) {
        return ELEMENT * linear.weights();
    }

    /// Bytes of memory, besides the linear before and after, that compressing `linear` takes at
    /// most.
    default long workingBytes(LinearName linear, C config) {
        return WORKING_BYTES * linear.weights();
    }

    /// The form that `linear` will have, from shapes alone: what the plan checks and adds up.
    ///
    /// @throws LitheException where it cannot be done; the message gives the reason and the way
    ///   out, not the linear's name
    LinearForm outcome(LinearName linear, LinearForm before, C config);

    /// Whether it takes the factors of a linear that is a product of two, one by one.
    default boolean takesFactors() {
        return true;
    }

    /// Whether it measures the model as a whole before it takes linears one by one.
    default boolean settles(C config) {
        return false;
    }

    /// What it finds then: configurations of linears that none is settled for yet. Their outcomes
    /// may differ from what [#outcome] says for `settings`, in sum they are no larger.
    default Map<LinearName, C> settle(WholeModel model, Settings<C> settings) {
        return Map.of();
    }

    /// Keys of the configuration that hold for the stage as a whole, so that no override of a
    /// linear may set them, besides those that name linears.
    default List<String> stageKeys() {
        return List.of();
    }

    /// The type in which the stage leaves tensors that are no linear's (norms, biases), given the
    /// one they have.
    default DType otherTensors(DType before, C config) {
        return before;
    }

    /// Refuses a model that the technique cannot work on as a whole.
    ///
    /// @throws LitheException with the reason and the way out
    default void checkModel(ModelSpec spec, C config) {}
}
