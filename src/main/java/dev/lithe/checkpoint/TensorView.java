package dev.lithe.checkpoint;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// A tensor of a checkpoint that its files do not hold as such, but as another tool stores it.
///
/// @param entry as readers see it; its file is where it comes from, its offset means nothing
/// @param maker what makes it, whenever it is asked for
record TensorView(TensorEntry entry, TensorView.Maker maker) {
    /// Loads what the files do hold.
    @FunctionalInterface
    interface Stored {
        /// The tensor at `entry`, in its stored type.
        Value load(TensorEntry entry, TensorScope into);
    }

    /// Makes the tensor.
    @FunctionalInterface
    interface Maker {
        /// A tensor of the type and shape of the view's entry, which `into` owns.
        Value make(Stored stored, TensorScope into);
    }
}
