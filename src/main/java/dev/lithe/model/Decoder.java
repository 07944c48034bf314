package dev.lithe.model;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// A model ready to run: its weights in the layout of the kernels, and the forward pass.
public final class Decoder implements AutoCloseable {
    private final Checkpoint checkpoint;
    private final ModelSpec spec;
    private final TensorScope scope;
    private final RunnableLinears linears;
    private final EmbeddingTable embedding;
    private final boolean embeddingIsShared;
    private final Value norms;
    private final Value heads;
    private final RotaryTables rotary;
    private final Value turn;
    private final Value cacheBits;

    private Decoder(Checkpoint checkpoint, TensorScope scope) {
        this.checkpoint = checkpoint;
        this.scope = scope;
        this.linears = new RunnableLinears(scope);
        this.spec = ModelSpec.of(checkpoint.config(), checkpoint.folder() + "/config.json");
        var reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
        this.norms = loadNorms();
        List<Part> parts = Architecture.parts(spec);
        Linear stored = reader.read(parts.getFirst().linears().getFirst(), scope);
        this.embedding = new EmbeddingTable(stored, scope);
        parts.subList(1, parts.size()).forEach(part -> add(reader, part));
        if (spec.tiedEmbeddings()) {
            linears.addSlot(List.of(stored));
        }
        this.embeddingIsShared =
                spec.tiedEmbeddings()
                        && stored instanceof Linear.Dense
                        && stored.floatType() == DType.F32;
        this.heads = scope.list(spec.heads(), spec.kvHeads(), spec.headDim());
        this.rotary = new RotaryTables(spec, scope);
        this.turn = scope.call("hadamard", spec.kvCache().keys() == 4 ? spec.headDim() : 1);
        this.cacheBits = scope.list(spec.kvCache().keys(), spec.kvCache().values());
    }

    /// Loads the model in `folder`. Weights that a kernel needs in another layout are copied; the
    /// rest stays mapped.
    public static Decoder open(Path folder) {
        Checkpoint checkpoint = Checkpoint.open(folder);
        TensorScope scope = TensorScope.open();
        try {
            return new Decoder(checkpoint, scope);
        } catch (RuntimeException e) {
            scope.close();
            checkpoint.close();
            throw e;
        }
    }

    private Value loadNorms() {
        List<Value> scales = new ArrayList<>();
        for (String norm : Architecture.norms(spec)) {
            scales.add(scope.call("to_float", checkpoint.load(norm, scope)));
        }
        return scope.list(scales);
    }

    private void add(LinearReader reader, Part part) {
        try (var step = TensorScope.open()) {
            for (Slot slot : part.slots()) {
                linears.addSlot(
                        part.linears(slot).stream().map(name -> reader.read(name, step)).toList());
            }
        }
    }

    /// Its shapes.
    public ModelSpec spec() {
        return spec;
    }

    /// The folder it was loaded from.
    public Path folder() {
        return checkpoint.folder();
    }

    /// Bytes of memory that its weights occupy while it runs.
    public long memoryBytes() {
        return linears.bytes() + (embeddingIsShared ? 0 : embedding.bytes()) + norms.bytes();
    }

    /// How its linears run, by label, with the number of each.
    public Map<String, Integer> kernels() {
        return linears.kernels();
    }

    /// An empty cache for `batch` sequences of up to `capacity` positions.
    public KvCache newCache(int batch, int capacity, TensorScope into) {
        KvCacheForm form = spec.kvCache();
        int heads = spec.kvHeads();
        int width = spec.headDim();
        int layers = spec.layers();
        return new KvCache(
                into.call("new_keys", batch, heads, capacity, width, layers, form.keys()),
                into.call("new_values", batch, heads, capacity, width, layers, form.values()),
                into.call("new_ranges", batch, heads, capacity, layers, form.keys()),
                capacity);
    }

    /// Runs T new tokens of B sequences, all at `position`, and extends `cache` by them.
    ///
    /// @param ids (B, T) int64
    /// @param position tokens already in the cache; position + T must not exceed its capacity
    /// @param allPositions whether to return logits of every new token or of the last only
    /// @return logits, (B, T, V) or (B, 1, V) float32, owned by `into`
    public Value forward(
            Value ids, int position, KvCache cache, boolean allPositions, TensorScope into) {
        rotary.cover(cache.capacity());
        return into.call(
                "forward",
                ids,
                position,
                allPositions,
                embedding.tables(),
                linears.weights(),
                linears.packed(),
                linears.parts(),
                linears.slots(),
                norms,
                heads,
                spec.normEpsilon(),
                rotary.cos(),
                rotary.sin(),
                cache.keys(),
                cache.values(),
                cache.ranges(),
                turn,
                cacheBits);
    }

    @Override
    public void close() {
        scope.close();
        checkpoint.close();
    }
}
