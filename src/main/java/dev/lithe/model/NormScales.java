package dev.lithe.model;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The scales of norms as the forward pass multiplies by them, (d) float32; checkpoints of some
/// architectures store them less 1. Those of a LayerNorm are (2, d), scale and bias, and two
/// tensors in a checkpoint.
public final class NormScales {
    private static final String SCALE = ".weight";
    private static final String BIAS = ".bias";

    private NormScales() {}

    /// The names of the tensors of the norm whose scale is called `name`.
    public static List<String> tensors(ModelSpec spec, String name) {
        return spec.style().layerNorms() ? List.of(name, bias(name)) : List.of(name);
    }

    private static String bias(String name) {
        return name.substring(0, name.length() - SCALE.length()) + BIAS;
    }

    /// The norm whose scale `source` calls `name`.
    public static Value read(ModelSpec spec, Checkpoint source, String name, TensorScope into) {
        return read(spec, name, tensor -> source.load(tensor, into), into);
    }

    /// The norm whose scale is called `name`, from what `tensor` gives for the names of its
    /// tensors.
    public static Value read(
            ModelSpec spec, String name, Function<String, Value> tensor, TensorScope into) {
        Value scale = tensor.apply(name);
        if (spec.style().layerNorms()) {
            return into.call("scale_and_bias", scale, tensor.apply(bias(name)));
        }
        return spec.style().normsAddOne()
                ? into.call("add_number", scale, 1.0)
                : into.call("to_float", scale);
    }

    /// What stands for `norm` in a checkpoint that calls its scale `name`, in float32, by tensor.
    public static Map<String, Value> stored(
            ModelSpec spec, String name, Value norm, TensorScope into) {
        if (spec.style().layerNorms()) {
            List<Value> both = into.call("unbind", norm).members();
            Map<String, Value> tensors = new LinkedHashMap<>();
            tensors.put(name, both.getFirst());
            tensors.put(bias(name), both.getLast());
            return tensors;
        }
        return Map.of(
                name, spec.style().normsAddOne() ? into.call("add_number", norm, -1.0) : norm);
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
