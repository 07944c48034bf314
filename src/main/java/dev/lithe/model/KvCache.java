package dev.lithe.model;

import dev.lithe.tensor.Value;

/// Keys and values of the positions seen so far, one tensor per block each, written in place by the
/// forward passes of [Decoder]: (B, g, capacity, hd) in float32, or rows of codes as `kvcache.py`
/// lays them out. Where B is 1 it belongs to one sequence.
public final class KvCache {
    private final Value keys;
    private final Value values;
    private final Value ranges;
    private final int capacity;
    private int position;
    private long keysAddress;
    private long valuesAddress;

    KvCache(Value keys, Value values, Value ranges, int capacity) {
        this.keys = keys;
        this.values = values;
        this.ranges = ranges;
        this.capacity = capacity;
    }

    /// Keys, a list of one tensor per block.
    public Value keys() {
        return keys;
    }

    /// Values, likewise.
    public Value values() {
        return values;
    }

    /// Where the keys of the first block lie, and those of the others after them, in float32.
    long keysAddress() {
        if (keysAddress == 0) {
            keysAddress = keys.members().getFirst().address();
        }
        return keysAddress;
    }

    /// The same of values.
    long valuesAddress() {
        if (valuesAddress == 0) {
            valuesAddress = values.members().getFirst().address();
        }
        return valuesAddress;
    }

    /// Scale and least value of each token's keys, where they are codes.
    public Value ranges() {
        return ranges;
    }

    /// Positions it has room for.
    public int capacity() {
        return capacity;
    }

    /// Positions that are filled.
    public int position() {
        return position;
    }

    /// Keeps the first `positions` only; what follows is written over.
    public void rewind(int positions) {
        position = Math.clamp(positions, 0, position);
    }

    /// Takes the first `positions` for filled with whatever is there: for measuring how long it
    /// takes to read on after them.
    public void skip(int positions) {
        position = Math.clamp(positions, 0, capacity);
    }

    void filled(int positions) {
        position = positions;
    }

    /// Bytes of memory it holds.
    public long bytes() {
        return keys.bytes() + values.bytes() + ranges.bytes();
    }
}
