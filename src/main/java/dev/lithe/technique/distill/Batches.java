package dev.lithe.technique.distill;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;

/// Windows of a text in an order that a seed decides: some are held out to judge by, the others are
/// dealt out again and again, each once before any comes again. What a step gets follows from its
/// number alone, so that nothing has to be remembered.
final class Batches {
    private static final int HELD_OUT_SHARE = 16;
    static final int MOST_HELD_OUT = 32;

    private final long[][] training;
    private final long[][] heldOut;
    private final int size;
    private final long seed;
    private long round = -1;
    private long[][] order;

    /// @param size windows of a batch
    Batches(CalibrationSet set, int size, long seed) {
        long[][] windows = shuffled(set.windows(), new Random(seed));
        int held = Math.clamp(windows.length / HELD_OUT_SHARE, 1, MOST_HELD_OUT);
        this.heldOut = Arrays.copyOf(windows, held);
        this.training =
                windows.length == 1 ? windows : Arrays.copyOfRange(windows, held, windows.length);
        this.order = training;
        this.size = size;
        this.seed = seed;
    }

    private static long[][] shuffled(long[][] windows, Random random) {
        long[][] order = windows.clone();
        for (int i = order.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            long[] taken = order[i];
            order[i] = order[j];
            order[j] = taken;
        }
        return order;
    }

    /// The windows of `step`.
    long[][] batch(int step) {
        long first = (long) step * size;
        return IntStream.range(0, size).mapToObj(i -> window(first + i)).toArray(long[][]::new);
    }

    private long[] window(long index) {
        if (index / training.length != round) {
            round = index / training.length;
            order = shuffled(training, new Random(31 * seed + round + 1));
        }
        return order[(int) (index % training.length)];
    }

    /// The windows that no step gets (where there is more than one).
    long[][] heldOut() {
        return heldOut.clone();
    }

    /// All windows, each once.
    List<long[]> all() {
        Set<long[]> all = Collections.newSetFromMap(new IdentityHashMap<>());
        all.addAll(List.of(heldOut));
        all.addAll(List.of(training));
        return List.copyOf(all);
    }

    /// Tokens of a step.
    int tokens() {
        return size * context();
    }

    /// Tokens of a window.
    int context() {
        return heldOut[0].length;
    }

    /// Windows as a tensor (B, T) int64.
    static Value ids(long[][] windows, TensorScope into) {
        long[] ids = Arrays.stream(windows).flatMapToLong(Arrays::stream).toArray();
        return into.tensor(ids, windows.length, windows[0].length);
    }
}
