package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// Cosine and sine of the rotary angles, (S, hd / 2) each. Models declare contexts of millions of
/// positions, so the tables reach as far as the longest cache asked for and at least double when
/// they grow.
final class RotaryTables {
    private static final int SMALLEST = 1024;

    private final TensorScope scope;
    private final Value frequencies;
    private final int maxPositions;
    private int length;
    private Value cos;
    private Value sin;

    RotaryTables(ModelSpec spec, TensorScope scope) {
        this.scope = scope;
        this.frequencies = scope.tensor(spec.rotaryFrequencies(), spec.headDim() / 2);
        this.maxPositions = spec.maxPositions();
        this.length = Math.min(SMALLEST, maxPositions);
        List<Value> tables = tables();
        this.cos = tables.get(0);
        this.sin = tables.get(1);
    }

    private List<Value> tables() {
        return scope.call("rotary_tables", frequencies, length).members();
    }

    /// Makes positions below `positions` available, as far as the model has them.
    void cover(int positions) {
        if (Math.min(positions, maxPositions) <= length) {
            return;
        }
        length = (int) Math.min(maxPositions, Math.max(positions, 2L * length));
        List<Value> tables = tables();
        cos = tables.get(0);
        sin = tables.get(1);
    }

    Value cos() {
        return cos;
    }

    Value sin() {
        return sin;
    }
}
