package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/// The forward pass by libtorch, in `decoder.py`: on any device, and of models that the kernels of
/// `src/main/c` do not take.
final class TorchForward implements Forward {
    private final ModelSpec spec;
    private final Device device;
    private final EmbeddingTable embedding;
    private final RunnableLinears linears;
    private final Value norms;
    private final KernelSettings settings;
    private final Value turn;
    private final Value cacheBits;

    /// A model without linears. It lives in `scope`.
    ///
    /// @param norms scales (d) float32, in the order in which data passes them
    /// @param cacheBits of keys and of values
    TorchForward(
            ModelSpec spec,
            Device device,
            Value norms,
            EmbeddingTable embedding,
            Value cacheBits,
            TensorScope scope) {
        this.spec = spec;
        this.device = device;
        this.embedding = embedding;
        this.linears = new RunnableLinears(device, scope);
        this.norms = norms;
        this.settings = KernelSettings.of(spec, scope);
        this.turn = scope.call("hadamard", spec.kvCache().keys() == 4 ? spec.headDim() : 1);
        this.cacheBits = cacheBits;
    }

    @Override
    public void addSlot(List<Linear> slot) {
        linears.addSlot(slot);
    }

    @Override
    public Map<String, Integer> kernels() {
        return linears.kernels();
    }

    @Override
    public long bytes() {
        return linears.bytes() + norms.bytes();
    }

    /// What was given, then the model, then where the tokens are and what was before them.
    private Object[] arguments(
            Angles angles, Value keys, Value values, Value ranges, Object... given) {
        List<Object> all = new ArrayList<>(List.of(given));
        all.addAll(linears.arguments());
        all.addAll(List.of(norms, settings.shape(), settings.numbers()));
        all.addAll(List.of(angles.cos(), angles.sin(), keys, values, ranges, turn, cacheBits));
        return all.toArray();
    }

    private Object[] arguments(Angles angles, KvBatch caches, Object... given) {
        return arguments(angles, caches.keys(), caches.values(), caches.ranges(), given);
    }

    @Override
    public Value forward(
            Value ids,
            int position,
            KvCache cache,
            boolean allPositions,
            Angles angles,
            TensorScope into) {
        Object[] arguments =
                arguments(
                        angles,
                        cache.keys(),
                        cache.values(),
                        cache.ranges(),
                        ids,
                        position,
                        allPositions,
                        embedding.tables());
        return into.call("forward", arguments);
    }

    @Override
    public float[] next(int[] ids, int position, KvCache cache, Angles angles) {
        try (var step = TensorScope.open()) {
            long[] elements = Arrays.stream(ids).asLongStream().toArray();
            Value input = step.tensor(elements, 1, elements.length); // (1, T)
            return forward(input, position, cache, false, angles, step).floats();
        }
    }

    @Override
    public Value extend(Pieces pieces, boolean allPositions, Angles angles, TensorScope into) {
        try (var step = TensorScope.open()) {
            Object[] arguments =
                    arguments(
                            angles,
                            pieces.batch(),
                            pieces.ids(step),
                            pieces.counts(),
                            pieces.positions(),
                            allPositions,
                            embedding.tables());
            return into.call("forward_rows", arguments);
        }
    }

    @Override
    public Value runBlocks(
            Value x, int first, int end, Pieces pieces, Angles angles, TensorScope into) {
        Object[] arguments =
                arguments(
                        angles, pieces.batch(), x, first, end, pieces.counts(), pieces.positions());
        Value made = into.call("run_blocks", arguments);
        device.await(made);
        return made;
    }

    @Override
    public Value head(Value x, Pieces pieces, Angles angles, TensorScope into) {
        List<Object> arguments = new ArrayList<>(List.of(x, pieces.counts(), false, spec.layers()));
        arguments.addAll(linears.arguments());
        arguments.addAll(List.of(norms, settings.numbers()));
        return into.call("head", arguments.toArray());
    }
}
