package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// The token embedding ready to look up rows in, whatever its stored form: floats as they are, or
/// one byte per weight with the scale and shift of its group; float8 and codebooks expand to
/// floats.
public final class EmbeddingTable {
    private final Value tables;
    private final double scale;

    /// The table that `stored` (V, d) holds; it lives in `scope`.
    public EmbeddingTable(Linear stored, TensorScope scope) {
        this(stored, 1, scope);
    }

    /// The same for a model that multiplies embeddings by `scale` (see [BlockStyle]).
    public EmbeddingTable(Linear stored, double scale, TensorScope scope) {
        this(stored, scale, Device.CPU, scope);
    }

    /// The same on a device.
    EmbeddingTable(Linear stored, double scale, Device device, TensorScope scope) {
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
        this.tables =
                device.isCpu()
                        ? made
                        : scope.list(
                                made.members().stream()
                                        .map(table -> device.place(table, scope))
                                        .toList());
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

    /// Rows of `ids` (B, T) int64, on whatever device: (B, T, d) float32 on the table's.
    public Value lookup(Value ids, TensorScope into) {
        return into.call("embed", tables, ids, scale);
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
