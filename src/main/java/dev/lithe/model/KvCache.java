package dev.lithe.model;

import dev.lithe.tensor.Value;

/// Keys and values of the positions seen so far, one tensor per block each, written in place by
/// [Decoder#forward]: (B, g, capacity, hd) in float32, or rows of codes as `kvcache.py` lays them
/// out.
///
/// @param ranges scale and least value of each token's keys, where they are codes
/// @param capacity positions it has room for
public record KvCache(Value keys, Value values, Value ranges, int capacity) {
    /// Bytes of memory it holds.
    public long bytes() {
        return keys.bytes() + values.bytes() + ranges.bytes();
    }
}
