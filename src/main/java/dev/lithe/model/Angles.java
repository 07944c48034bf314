package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;

/// Cosines and sines of the rotary angles that a forward pass takes, (tables, S, r / 2) each: of
/// all positions; or, where a token sees sinks and a window only ([SparseAttention]), of its T
/// tokens one after the other, and then of the positions that their queries have before the sinks.
///
/// @param stride numbers from the start of one table to that of the next; 0 where there is one
/// @param ofTokens whether there is a row for each token
record Angles(Value cos, Value sin, long stride, boolean ofTokens) {
    /// Of all positions.
    static Angles ofPositions(Value cos, Value sin) {
        return new Angles(cos, sin, stride(cos), false);
    }

    private static long stride(Value cos) {
        return cos.size(0) == 1 ? 0 : (long) cos.size(1) * cos.size(2);
    }

    /// Of `counts[i]` tokens from `positions[i]` on, for each i.
    static Angles ofTokens(
            ModelSpec spec, long[] counts, long[] positions, Device device, TensorScope into) {
        List<double[]> frequencies = spec.rotaryFrequencies();
        int half = frequencies.getFirst().length;
        int tokens = (int) Arrays.stream(counts).sum();
        float[] cos = new float[frequencies.size() * 2 * tokens * half];
        float[] sin = new float[cos.length];
        int farthest = spec.sparseAttention().reach() - 1;
        int at = 0;
        for (int table = 0; table < frequencies.size(); table++) {
            double magnitude = RotaryTables.magnitude(spec, table);
            for (boolean beforeSinks : new boolean[] {false, true}) {
                for (int i = 0; i < counts.length; i++) {
                    for (long j = positions[i]; j < positions[i] + counts[i]; j++) {
                        long position = beforeSinks ? Math.min(j, farthest) : j;
                        for (double frequency : frequencies.get(table)) {
                            double angle = position * (double) (float) frequency;
                            cos[at] = (float) (Math.cos(angle) * magnitude);
                            sin[at++] = (float) (Math.sin(angle) * magnitude);
                        }
                    }
                }
            }
        }
        long[] shape = {frequencies.size(), 2L * tokens, half};
        Value all = device.place(into.tensor(cos, shape), into);
        return new Angles(all, device.place(into.tensor(sin, shape), into), stride(all), true);
    }
}
