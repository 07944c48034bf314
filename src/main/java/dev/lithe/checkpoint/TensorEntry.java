package dev.lithe.checkpoint;

import dev.lithe.tensor.DType;
import java.nio.file.Path;
import java.util.List;

/// Where one tensor of a checkpoint lies.
///
/// @param name as in the file, for example `model.norm.weight`
/// @param shape sizes, slowest dimension first; empty for a scalar
/// @param file the safetensors file that holds it
/// @param offset of its first byte from the start of the file
/// @param bytes its length
public record TensorEntry(
        String name, DType dtype, List<Long> shape, Path file, long offset, long bytes) {
    public TensorEntry {
        shape = List.copyOf(shape);
    }

    /// The same under another name.
    TensorEntry named(String other) {
        return new TensorEntry(other, dtype, shape, file, offset, bytes);
    }

    /// The number of elements.
    public long elements() {
        return bytes / dtype.bytes();
    }
}
