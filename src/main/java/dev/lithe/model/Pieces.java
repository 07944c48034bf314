package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;

/// New tokens of the sequences of a batch, side by side: `counts[i]` of sequence i, from the
/// position `positions[i]` on.
record Pieces(int[][] tokens, KvBatch batch, long[] counts, long[] positions) {
    static Pieces of(int[][] tokens, KvBatch batch) {
        List<KvCache> caches = batch.caches();
        long[] counts = Arrays.stream(tokens).mapToLong(piece -> piece.length).toArray();
        long[] positions = caches.stream().mapToLong(KvCache::position).toArray();
        for (int i = 0; i < tokens.length; i++) {
            caches.get(i).begin(caches.get(i).position(), tokens[i].length);
        }
        return new Pieces(tokens, batch, counts, positions);
    }

    /// The tokens, (1, T) int64.
    Value ids(TensorScope into) {
        int total = (int) Arrays.stream(counts).sum();
        long[] ids = new long[total];
        int at = 0;
        for (int[] piece : tokens) {
            for (int id : piece) {
                ids[at++] = id;
            }
        }
        return into.tensor(ids, 1, total);
    }

    /// Positions that rotary tables must reach.
    int reach() {
        return batch.caches().stream().mapToInt(KvCache::capacity).max().orElseThrow();
    }

    /// Moves the caches on.
    void done() {
        for (int i = 0; i < counts.length; i++) {
            batch.caches().get(i).filled((int) (positions[i] + counts[i]));
        }
    }
}
