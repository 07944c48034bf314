package dev.lithe.model;

import dev.lithe.tensor.Value;

/// Keys and values of the positions seen so far: one (B, g, capacity, hd) tensor per block each,
/// written in place by [Decoder#forward].
///
/// @param capacity positions it has room for
public record KvCache(Value keys, Value values, int capacity) {
    /// Bytes of memory it holds.
    public long bytes() {
        return keys.bytes() + values.bytes();
    }
}
