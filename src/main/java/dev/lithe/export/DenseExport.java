package dev.lithe.export;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;

/// Writes a model as the plain Hugging Face folder that any loader of its architecture takes: every
/// weight as the float that it stands for, in the type that the model declares.
public final class DenseExport extends FolderExport {
    private DenseExport(Checkpoint checkpoint) {
        super(checkpoint);
    }

    /// Writes the model of `checkpoint` to the folder `target`.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @throws LitheException where a weight does not fit the type
    public static void write(Checkpoint checkpoint, Path target, boolean replace) {
        new DenseExport(checkpoint).write(target, replace);
    }

    @Override
    String label() {
        return "dense";
    }

    @Override
    boolean kept(LinearName name, Linear linear, CheckpointWriter writer, TensorScope step) {
        return false;
    }

    @Override
    void describe(ObjectNode config) {
        // nothing is quantized
    }
}
