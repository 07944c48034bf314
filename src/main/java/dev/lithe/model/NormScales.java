package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The scales of norms as the forward pass multiplies by them, (d) float32; checkpoints of some
/// architectures store them less 1.
public final class NormScales {
    private NormScales() {}

    /// The scale that `stored` stands for.
    public static Value read(ModelSpec spec, Value stored, TensorScope into) {
        return spec.style().normsAddOne()
                ? into.call("add_number", stored, 1.0)
                : into.call("to_float", stored);
    }

    /// What stands for `scale` in a checkpoint, in float32.
    public static Value stored(ModelSpec spec, Value scale, TensorScope into) {
        return spec.style().normsAddOne() ? into.call("add_number", scale, -1.0) : scale;
    }

    /// Those of a block as kernels take them: a list of [Norm#OF_BLOCK], empty where it has none.
    public static List<Value> ofBlock(Map<Norm, Value> scales, TensorScope scope) {
        List<Value> all = new ArrayList<>();
        Value none = scope.call("empty", new long[] {0});
        for (int i = 0; i < Norm.OF_BLOCK; i++) {
            @Nullable Value scale = scales.get(Norm.values()[i]);
            all.add(scale == null ? none : scale);
        }
        return all;
    }
}
