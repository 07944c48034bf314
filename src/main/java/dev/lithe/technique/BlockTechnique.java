package dev.lithe.technique;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.fault.LitheException;

/// A technique that needs a part of the model at a time: a block with its norms, the embedding, or
/// the output layer.
///
/// @param <C> its configuration
public non-sealed interface BlockTechnique<C extends Record> extends WeightTechnique<C> {
    @Override
    default String scope() {
        return "block";
    }

    /// Whether it looks at data: then [LoadedPart] has inputs and statistics.
    default boolean calibrated(C config) {
        return true;
    }

    /// Whether it asks for [LoadedPart#targets].
    default boolean needsTargets(C config) {
        return false;
    }

    /// Whether the model computes the same afterwards, rounding aside. Then what later stages have
    /// to reproduce is the model as this stage leaves it.
    default boolean exact(C config) {
        return false;
    }

    /// Whether it moves scales from one linear to another, so that weights before and after are not
    /// to be compared one by one.
    default boolean folds() {
        return false;
    }

    /// Bytes that it works with per weight of a part, besides the part itself.
    default int bytesPerWeight(C config) {
        return 0;
    }

    /// Does it: replaces linears and norms of `part`, each linear by one of the form that
    /// [#outcome] promised. Called for every part of the model in order; a technique leaves those
    /// alone that are not its own. A technique remembers nothing from one part to the next: a run
    /// that goes on where an earlier one was killed calls it for the parts that are left.
    ///
    /// @throws LitheException where the numbers forbid it
    void apply(LoadedPart part, Settings<C> settings);
}
