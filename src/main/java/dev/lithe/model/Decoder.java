package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A model ready to run: its weights in the layout of the kernels, and the forward rows.
public final class Decoder implements AutoCloseable {
    private static final String GENERATION = "generation_config.json";

    private final Checkpoint checkpoint;
    private final ModelSpec spec;
    private final Device device;
    private final TensorScope scope;
    private final Forward forward;
    private final Set<Integer> endTokens;

    private final EmbeddingTable embedding;
    private final boolean embeddingIsShared;
    private final RotaryTables rotary;
    private final Value cacheBits;

    private Decoder(
            Checkpoint checkpoint,
            Device device,
            Optional<Instructions> instructions,
            TensorScope scope) {
        this.checkpoint = checkpoint;
        this.device = device;
        this.scope = scope;
        this.spec = ModelSpec.of(checkpoint.config(), checkpoint.folder() + "/config.json");
        spec.kvCache().requireOn(device, checkpoint.folder());
        this.endTokens = endTokens();
        var reader = new LinearReader(checkpoint);
        reader.checkAll(spec);
        List<Part> parts = Architecture.parts(spec);
        Value norms = loadNorms();
        Linear stored = onDevice(reader.read(parts.getFirst().linears().getFirst(), scope));
        this.embedding = new EmbeddingTable(spec, stored, positions(reader), device, scope);
        this.cacheBits = scope.list(spec.kvCache().keys(), spec.kvCache().values());
        this.forward =
                instructions
                        .filter(_ -> NativeForms.takes(spec, reader))
                        .<Forward>map(
                                chosen -> new NativeForward(spec, chosen, norms, embedding, scope))
                        .orElseGet(() ->
                                new TorchForward(spec, device, norms, embedding, cacheBits, scope));
        parts.subList(1, parts.size()).forEach(part -> add(reader, part));
        if (spec.tiedEmbeddings()) {
            forward.addSlot(List.of(stored));
        }
        this.embeddingIsShared =
                spec.tiedEmbeddings()
                        && stored instanceof Linear.Dense
                        && (forward instanceof NativeForward
                                || !device.isCpu()
                                || stored.floatType() == DType.F32);
        this.rotary = new RotaryTables(spec, device, scope);
    }

    /// Chat models name further ends of an answer where others keep their sampling.
    private Set<Integer> endTokens() {
        Set<Integer> ends = new HashSet<>(spec.eosTokens());
        JsonNode generation = checkpoint.json(GENERATION);
        if (generation != null) {
            String where = checkpoint.folder() + "/" + GENERATION;
            ends.addAll(
                    new ConfigReader(generation, where).tokens("eos_token_id", spec.vocabSize()));
        }
        return Set.copyOf(ends);
    }

    /// Whether an answer ends with `token`, by `config.json` or `generation_config.json`.
    public boolean ends(int token) {
        return endTokens.contains(token);
    }

    private @Nullable Linear positions(LinearReader reader) {
        List<LinearName> tables = Architecture.parts(spec).getFirst().linears();
        return tables.size() == 1 ? null : reader.read(tables.getLast(), scope);
    }

    /// A table of floats is read by the output layer too, where that is the embedding: it goes over
    /// once.
    private Linear onDevice(Linear embedding) {
        return embedding instanceof Linear.Dense dense
                ? new Linear.Dense(device.place(dense.weight(), scope), null, dense.form())
                : embedding;
    }

    /// Loads the model in `folder` for the processor. Weights that a kernel needs in another layout
    /// are copied; the rest stays mapped.
    public static Decoder open(Path folder) {
        return open(folder, Device.CPU);
    }

    /// Loads the model in `folder` for `device`: the kernels of `src/main/c` run it on the
    /// processor, libtorch elsewhere.
    ///
    /// @throws LitheException where the device cannot run it
    public static Decoder open(Path folder, Device device) {
        return open(folder, device, device.isCpu() ? NativeLibrary.chosen() : Optional.empty());
    }

    /// The instructions that the model in a checkpoint would be run by on the processor; empty
    /// where libtorch runs it.
    public static Optional<Instructions> instructions(ModelSpec spec, LinearReader reader) {
        return NativeLibrary.chosen().filter(_ -> NativeForms.takes(spec, reader));
    }

    /// On the processor by given instructions, or by libtorch.
    static Decoder open(Path folder, Optional<Instructions> instructions) {
        return open(folder, Device.CPU, instructions);
    }

    private static Decoder open(Path folder, Device device, Optional<Instructions> instructions) {
        Checkpoint checkpoint = Checkpoint.open(folder);
        TensorScope scope = TensorScope.open();
        try {
            return new Decoder(checkpoint, device, instructions, scope);
        } catch (RuntimeException e) {
            scope.close();
            checkpoint.close();
            throw e;
        }
    }

    private Value loadNorms() {
        List<Value> all = new ArrayList<>();
        for (Part part : Architecture.parts(spec)) {
            Map<Norm, Value> scales = new EnumMap<>(Norm.class);
            part.norms()
                    .forEach((norm, name) ->
                            scales.put(norm, NormScales.read(spec, checkpoint, name, scope)));
            switch (part.kind()) {
                case EMBEDDING -> {}
                case BLOCK -> all.addAll(NormScales.ofBlock(scales, scope));
                case OUTPUT -> all.addAll(scales.values());
            }
        }
        return scope.list(all.stream().map(scale -> device.place(scale, scope)).toList());
    }

    private void add(LinearReader reader, Part part) {
        try (var step = TensorScope.open()) {
            // the kernels count four slots to a block, and those of what it lacks are empty
            boolean block = part.kind() == Part.Kind.BLOCK;
            for (Slot slot : block ? ActivationThresholds.SLOTS : part.slots()) {
                forward.addSlot(
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
        return forward.bytes() + (embeddingIsShared ? 0 : embedding.bytes());
    }

    /// How its linears run, by label, with the number of each.
    public Map<String, Integer> kernels() {
        return forward.kernels();
    }

    /// An empty cache for `batch` sequences with `capacity` rows: those of [ModelSpec#cacheRows]
    /// hold a text of any length.
    public KvCache newCache(int batch, int capacity, TensorScope into) {
        KvCacheForm form = spec.kvCache();
        int heads = spec.kvHeads();
        int width = spec.headDim();
        int layers = spec.attentionBlocks();
        String on = device.name();
        return new KvCache(
                into.call("new_keys", batch, heads, capacity, width, layers, form.keys(), on),
                into.call("new_values", batch, heads, capacity, width, layers, form.values(), on),
                ranges(batch, capacity, into),
                capacity,
                spec.sparseAttention());
    }

    private Value ranges(int batch, int capacity, TensorScope into) {
        int heads = spec.kvHeads();
        int layers = spec.attentionBlocks();
        String on = device.name();
        if (spec.sparseAttention().heavy() > 0) {
            return into.call("new_sums", batch, heads, capacity, layers, on);
        }
        if (spec.pageAttention().limited()) {
            int pages = spec.pageAttention().bounded(capacity);
            return into.call("new_bounds", batch, heads, pages, spec.headDim(), layers, on);
        }
        return into.call("new_ranges", batch, heads, capacity, layers, spec.kvCache().keys());
    }

    /// Runs T new tokens of B sequences, all at `position`, and extends `cache` by them.
    ///
    /// @param ids (B, T) int64
    /// @param position tokens already in the cache; it must have room for T more
    /// @param allPositions whether to return logits of every new token or of the last only
    /// @return logits, (B, T, V) or (B, 1, V) float32 on its device, owned by `into`
    public Value forward(
            Value ids, int position, KvCache cache, boolean allPositions, TensorScope into) {
        int tokens = ids.size(1);
        cache.begin(position, tokens);
        try (var step = TensorScope.open()) {
            Angles angles =
                    rotary.angles(
                            new long[] {tokens}, new long[] {position}, cache.capacity(), step);
            Value logits = forward.forward(ids, position, cache, allPositions, angles, into);
            cache.filled(position + tokens);
            return logits;
        }
    }

    /// Runs new tokens of one sequence from where its cache is, and extends that by them.
    ///
    /// @param ids at least one, of the vocabulary
    /// @return logits (V) of the token after them
    public float[] next(int[] ids, KvCache cache) {
        int position = cache.position();
        cache.begin(position, ids.length);
        try (var step = TensorScope.open()) {
            long[] counts = {ids.length};
            Angles angles = rotary.angles(counts, new long[] {position}, cache.capacity(), step);
            float[] logits = forward.next(ids, position, cache, angles);
            cache.filled(position + ids.length);
            return logits;
        }
    }

    /// Runs one new token of each sequence of a batch, at the position that its cache has reached,
    /// and extends the caches by them.
    ///
    /// @param ids one per sequence
    /// @return logits, (B, V) float32 row-major whatever its outer dimensions, owned by `into`
    public Value decode(int[] ids, KvBatch batch, TensorScope into) {
        int[][] pieces = new int[ids.length][1];
        for (int i = 0; i < ids.length; i++) {
            pieces[i][0] = ids[i];
        }
        return extend(pieces, batch, false, into);
    }

    /// Runs some new tokens of each sequence of a batch, from the position that its cache has
    /// reached, and extends the caches by them. The linears read all tokens at once. Where it fails
    /// the caches keep their positions, and it can be tried again unless they keep heavy hitters
    /// ([KvCache]).
    ///
    /// @param pieces at least one token per sequence
    /// @param allPositions whether to return logits of every new token or of each sequence's last
    /// @return logits, (tokens, V) or (B, V) float32 row-major whatever its outer dimensions, owned
    ///   by `into`
    public Value extend(int[][] pieces, KvBatch batch, boolean allPositions, TensorScope into) {
        var rows = Pieces.of(pieces, batch);
        try (var step = TensorScope.open()) {
            Value logits = forward.extend(rows, allPositions, angles(rows, step), into);
            rows.done();
            return logits;
        }
    }

    /// Begins what [#extend] does, to be run some blocks at a time.
    public ForwardPass begin(int[][] pieces, KvBatch batch) {
        return new ForwardPass(this, Pieces.of(pieces, batch));
    }

    Angles angles(Pieces rows, TensorScope into) {
        return rotary.angles(rows.counts(), rows.positions(), rows.reach(), into);
    }

    Value embed(Pieces rows, TensorScope into) {
        try (var step = TensorScope.open()) {
            return embedding.lookup(rows.ids(step), rows.counts(), rows.positions(), into);
        }
    }

    Value runBlocks(Value x, int first, int end, Pieces rows, Angles angles, TensorScope into) {
        return forward.runBlocks(x, first, end, rows, angles, into);
    }

    Value head(Value x, Pieces rows, Angles angles, TensorScope into) {
        return forward.head(x, rows, angles, into);
    }

    /// Fills an empty cache with the first `positions` of another, of one sequence too; their
    /// capacities may differ, unless rows of the other are used again.
    public void copy(KvCache from, int positions, KvCache to) {
        int rows = from.recycled() ? from.capacity() : positions;
        if (!from.holds(positions)
                || rows > to.capacity()
                || from.recycled() && rows < to.capacity()) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "%d of %d positions in %d rows cannot be copied to %d",
                    positions,
                    from.position(),
                    from.capacity(),
                    to.capacity());
        }
        try (var step = TensorScope.open()) {
            step.call(
                    "copy_cache",
                    from.keys(),
                    from.values(),
                    from.ranges(),
                    to.keys(),
                    to.values(),
                    to.ranges(),
                    rows,
                    cacheBits);
        }
        to.copied(from, positions);
    }

    @Override
    public void close() {
        scope.close();
        checkpoint.close();
    }
}
