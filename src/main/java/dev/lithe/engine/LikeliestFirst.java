package dev.lithe.engine;

/// Token ids from the most likely on, one at a time; ties go to the lower id. A binary heap: a few
/// out of a large vocabulary cost far less than sorting all of it.
final class LikeliestFirst {
    /// One long per token: the logit's bits in ascending order of unlikeliness, then the id.
    private final long[] heap;

    private int size;

    /// @param logits (V), none NaN
    LikeliestFirst(float[] logits) {
        size = logits.length;
        heap = new long[size];
        for (int id = 0; id < size; id++) {
            heap[id] = (long) ~ascending(logits[id]) << Integer.SIZE | id;
        }
        for (int at = size / 2 - 1; at >= 0; at--) {
            sink(at);
        }
    }

    /// An integer that orders as the float does.
    private static int ascending(float value) {
        int bits = Float.floatToIntBits(value + 0f);
        return bits >= 0 ? bits : bits ^ Integer.MAX_VALUE;
    }

    /// The next id; at most V times.
    int next() {
        int id = (int) heap[0];
        size--;
        heap[0] = heap[size];
        sink(0);
        return id;
    }

    private void sink(int start) {
        int at = start;
        long moved = heap[at];
        int child = 2 * at + 1;
        while (child < size) {
            if (child + 1 < size && heap[child + 1] < heap[child]) {
                child++;
            }
            if (moved <= heap[child]) {
                break;
            }
            heap[at] = heap[child];
            at = child;
            child = 2 * at + 1;
        }
        heap[at] = moved;
    }
}
