package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;

/// Cosines and sines of the rotary angles: (tables, S, r / 2), one table for all blocks, or a
/// second for blocks with a window. They cover the positions that somebody asked for, not all that
/// the model declares: those of a context of ten million tokens would take 5 GB.
public final class RotaryTables {
    private static final int SMALLEST = 1024;

    private final TensorScope scope;
    private final ModelSpec spec;
    private final Device device;
    private int length;
    private Angles all;

    RotaryTables(ModelSpec spec, Device device, TensorScope scope) {
        this.scope = scope;
        this.spec = spec;
        this.device = device;
        this.length = Math.min(SMALLEST, spec.maxPositions());
        this.all = place(spec, length, device, scope);
    }

    private static Angles place(ModelSpec spec, int length, Device device, TensorScope scope) {
        List<Value> tables = of(spec, length, scope);
        Value cos = device.place(tables.get(0), scope);
        return Angles.ofPositions(cos, device.place(tables.get(1), scope));
    }

    /// Cosines and sines of the positions below `length`.
    public static List<Value> of(ModelSpec spec, int length, TensorScope into) {
        List<double[]> frequencies = spec.rotaryFrequencies();
        int half = frequencies.getFirst().length;
        if (half == 0) {
            Value none = into.call("empty", new long[] {1, length, 0});
            return List.of(none, none);
        }
        float[] numbers = new float[frequencies.size() * half];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) frequencies.get(i / half)[i % half];
        }
        double[] magnitudes = new double[frequencies.size()];
        Arrays.setAll(magnitudes, table -> magnitude(spec, table));
        try (var step = TensorScope.open()) {
            Value tensor = step.tensor(numbers, frequencies.size(), half);
            return into.call("rotary_tables", tensor, magnitudes, length).members();
        }
    }

    /// What the cosines and sines of a table are multiplied by.
    static double magnitude(ModelSpec spec, int table) {
        RopeScaling scaling = spec.ropeScaling();
        return table == 0 && scaling != null ? scaling.magnitude() : 1;
    }

    /// Those of `counts[i]` tokens from `positions[i]` on, for each i; they live in `into` at
    /// least.
    ///
    /// @param capacity positions that the caches have room for
    Angles angles(long[] counts, long[] positions, int capacity, TensorScope into) {
        if (spec.sparseAttention().limited() && spec.sparseAttention().heavy() == 0) {
            return Angles.ofTokens(spec, counts, positions, device, into);
        }
        cover(Math.max(capacity, spec.sparseAttention().places()));
        return all;
    }

    /// Makes positions below `positions` available, as far as the model has them.
    private void cover(int positions) {
        if (Math.min(positions, spec.maxPositions()) <= length) {
            return;
        }
        length = (int) Math.min(spec.maxPositions(), Math.max(positions, 2L * length));
        all = place(spec, length, device, scope);
    }
}
