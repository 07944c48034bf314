package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The token embedding ready to look up rows in, whatever its stored form: floats as they are, or
/// one byte per weight with the scale and shift of its group; float8 and codebooks expand to
/// floats. Where positions have learned vectors, they are added.
public final class EmbeddingTable {
    private final Value tables;
    private final double scale;

    /// The table that `stored` (V, d) holds, and nothing else; it lives in `scope`.
    public EmbeddingTable(Linear stored, TensorScope scope) {
        this(stored, 1, null, Device.CPU, scope);
    }

    /// What a model of shapes `spec` makes of ids.
    ///
    /// @param positions vectors of positions, where the model has them
    public EmbeddingTable(
            ModelSpec spec, Linear stored, @Nullable Linear positions, TensorScope scope) {
        this(spec, stored, positions, Device.CPU, scope);
    }

    /// The same on a device.
    EmbeddingTable(
            ModelSpec spec,
            Linear stored,
            @Nullable Linear positions,
            Device device,
            TensorScope scope) {
        this(
                stored,
                spec.style().embeddingScale(),
                positions == null ? null : vectors(spec, positions, scope),
                device,
                scope);
    }

    /// (S, d) float32 from the first position on.
    private static Value vectors(ModelSpec spec, Linear positions, TensorScope scope) {
        try (var step = TensorScope.open()) {
            Value all = DenseWeights.of(positions, step);
            return scope.call("rows", all, spec.style().positionOffset(), all.size(0));
        }
    }

    private EmbeddingTable(
            Linear stored,
            double scale,
            @Nullable Value vectors,
            Device device,
            TensorScope scope) {
        this.scale = scale;
        Value made =
                switch (stored) {
                    case Linear.Dense dense -> scope.list(List.of(scope.keep(dense.weight())));
                    case Linear.Int8 int8 ->
                            scope.call("embedding_of_int8", int8.weight(), int8.scale());
                    case Linear.Float8 _,
                            Linear.Codebook _,
                            Linear.Masked _,
                            Linear.LowRank _,
                            Linear.Shared _ ->
                            scope.list(List.of(DenseWeights.of(stored, scope)));
                    case Linear.Grouped grouped -> grouped(grouped, scope);
                };
        List<Value> all = new ArrayList<>(made.members());
        if (vectors != null) {
            all.add(vectors);
        }
        this.tables = scope.list(all.stream().map(table -> device.place(table, scope)).toList());
    }

    private static Value grouped(Linear.Grouped stored, TensorScope scope) {
        try (var step = TensorScope.open()) {
            int bits = stored.form().bits();
            Value zero = DenseWeights.zero(stored, step);
            return scope.call(
                    "embedding_of_grouped",
                    stored.packed(),
                    stored.scale(),
                    zero,
                    bits,
                    stored.shape().longs()[1]);
        }
    }

    /// Rows of `ids` (B, T) int64, on whatever device, from the first position on: (B, T, d)
    /// float32 on the table's.
    public Value lookup(Value ids, TensorScope into) {
        return lookup(ids, new long[] {ids.size(1)}, new long[1], into);
    }

    /// The same of `counts[i]` tokens each from the position `positions[i]` on.
    Value lookup(Value ids, long[] counts, long[] positions, TensorScope into) {
        return into.call("embed", tables, ids, scale, counts, positions);
    }

    /// The tensors, as kernels take them.
    Value tables() {
        return tables;
    }

    /// Bytes of memory it occupies.
    long bytes() {
        return tables.bytes();
    }
}
