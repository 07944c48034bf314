package dev.lithe.model;

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
    private int length;
    private Value cos;
    private Value sin;

    RotaryTables(ModelSpec spec, TensorScope scope) {
        this.scope = scope;
        this.spec = spec;
        this.length = Math.min(SMALLEST, spec.maxPositions());
        List<Value> tables = of(spec, length, scope);
        this.cos = tables.get(0);
        this.sin = tables.get(1);
    }

    /// Cosines and sines of the positions below `length`.
    public static List<Value> of(ModelSpec spec, int length, TensorScope into) {
        List<double[]> frequencies = spec.rotaryFrequencies();
        int half = frequencies.getFirst().length;
        float[] numbers = new float[frequencies.size() * half];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) frequencies.get(i / half)[i % half];
        }
        double[] magnitudes = new double[frequencies.size()];
        Arrays.fill(magnitudes, 1);
        RopeScaling scaling = spec.ropeScaling();
        if (scaling != null) {
            magnitudes[0] = scaling.magnitude();
        }
        try (var step = TensorScope.open()) {
            Value tensor = step.tensor(numbers, frequencies.size(), half);
            return into.call("rotary_tables", tensor, magnitudes, length).members();
        }
    }

    /// Makes positions below `positions` available, as far as the model has them.
    void cover(int positions) {
        if (Math.min(positions, spec.maxPositions()) <= length) {
            return;
        }
        length = (int) Math.min(spec.maxPositions(), Math.max(positions, 2L * length));
        List<Value> tables = of(spec, length, scope);
        cos = tables.get(0);
        sin = tables.get(1);
    }

    Value cos() {
        return cos;
    }

    Value sin() {
        return sin;
    }

    /// Numbers from the start of one table to that of the next; 0 where there is one.
    long stride() {
        return cos.size(0) == 1 ? 0 : (long) length * cos.size(2);
    }
}
