package dev.lithe.model;

import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeModel;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// The forward pass by the kernels of `src/main/c`, which read weights as they are stored
/// ([NativeWeights]). The same kernels run one token and many, so that nothing is held twice and no
/// result of a token depends on how many others were computed with it.
///
/// Why it exists: libtorch's kernels for one row read quantized weights at a quarter to two thirds
/// of the memory's speed, and its operations between the linears take a fifth of a step.
final class NativeForward implements Forward {
    private final ModelSpec spec;
    private final NativeWeights weights;
    private final NativeModel model;
    private final String instructions;

    /// A model without linears. It lives in `scope`, as the tensors that it reads must.
    ///
    /// @param norms scales (d) float32, in the order in which data passes them
    NativeForward(
            ModelSpec spec,
            Instructions instructions,
            Value norms,
            EmbeddingTable embedding,
            TensorScope scope) {
        this(spec, instructions, scope);
        weights.norms(norms);
        weights.embedding(embedding);
    }

    /// A model without norms and embedding, whose slots can be run one by one.
    NativeForward(ModelSpec spec, Instructions instructions, TensorScope scope) {
        this.spec = spec;
        this.instructions = instructions.label();
        this.weights = new NativeWeights(spec, instructions, scope);
        this.model = weights.model();
    }

    @Override
    public void addSlot(List<Linear> linears) {
        weights.addSlot(linears);
    }

    @Override
    public Map<String, Integer> kernels() {
        return weights.counts().entrySet().stream()
                .collect(
                        Collectors.toUnmodifiableMap(
                                form -> form.getKey() + " (" + instructions + ")",
                                Map.Entry::getValue));
    }

    @Override
    public long bytes() {
        return model.bytes() + weights.borrowed();
    }

    @Override
    public Value forward(
            Value ids,
            int position,
            KvCache cache,
            boolean allPositions,
            Angles angles,
            TensorScope into) {
        int batch = ids.size(0);
        var rows = Rows.of(ids.longs(), batch, position, cache, allPositions, spec, angles);
        long[] shape = {batch, rows.wanted() / batch, spec.vocabSize()};
        Value logits = into.call("empty", shape);
        run(rows, 0, spec.layers(), null, logits, angles);
        return logits;
    }

    @Override
    public float[] next(int[] ids, int position, KvCache cache, Angles angles) {
        long[] tokens = Arrays.stream(ids).asLongStream().toArray();
        var rows = Rows.of(tokens, 1, position, cache, false, spec, angles);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment logits = arena.allocate(ValueLayout.JAVA_FLOAT, spec.vocabSize());
            run(rows, 0, spec.layers(), null, logits.address(), angles, arena);
            return logits.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Override
    public Value extend(Pieces pieces, boolean allPositions, Angles angles, TensorScope into) {
        var rows = Rows.of(pieces, allPositions, spec, angles);
        Value logits = into.call("empty", new long[] {rows.wanted(), spec.vocabSize()});
        run(rows, 0, spec.layers(), null, logits, angles);
        return logits;
    }

    @Override
    public Value runBlocks(
            Value x, int first, int end, Pieces pieces, Angles angles, TensorScope into) {
        run(Rows.of(pieces, false, spec, angles), first, end, x, null, angles);
        return into.keep(x);
    }

    @Override
    public Value head(Value x, Pieces pieces, Angles angles, TensorScope into) {
        var rows = Rows.of(pieces, false, spec, angles);
        Value logits = into.call("empty", new long[] {rows.wanted(), spec.vocabSize()});
        run(rows, spec.layers(), spec.layers(), x, logits, angles);
        return logits;
    }

    /// One slot alone: x (rows, K) to y (rows, N).
    Value project(int index, Value x, long outputs, TensorScope into) {
        Value y = into.call("empty", new long[] {x.size(0), outputs});
        model.project(index, x, y);
        return y;
    }

    private void run(
            Rows rows,
            int first,
            int end,
            @Nullable Value x,
            @Nullable Value logits,
            Angles angles) {
        try (Arena arena = Arena.ofConfined()) {
            long to = logits == null ? 0 : logits.address();
            run(rows, first, end, x, to, angles, arena);
        }
    }

    private void run(
            Rows rows,
            int first,
            int end,
            @Nullable Value x,
            long logits,
            Angles angles,
            Arena arena) {
        model.step(
                first,
                end,
                arena.allocateFrom(ValueLayout.JAVA_LONG, rows.longs()),
                rows.count(),
                x,
                angles.cos(),
                angles.sin(),
                angles.stride(),
                logits);
    }
}
