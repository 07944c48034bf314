package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Value;

/// Keys and values of the positions seen so far, one tensor per block with attention each, written
/// in place by the forward passes of [Decoder]: (B, g, capacity, hd) in float32, or rows of codes
/// as `kvcache.py` lays them out. Where B is 1 it belongs to one sequence. Where a token sees a
/// part of the text only ([SparseAttention]) rows are used again, and positions may go beyond the
/// capacity.
///
/// One that keeps heavy hitters cannot say what it kept before: it goes on from where it is or
/// begins anew, and only anew where a pass over it did not end.
public final class KvCache {
    private final Value keys;
    private final Value values;
    private final Value ranges;
    private final int capacity;
    private final SparseAttention sparse;
    private int position;
    private long keysAddress;
    private long valuesAddress;
    private long boundsAddress;

    /// One more than the last position that was written.
    private int written;

    /// Whether a pass over it has begun and not ended.
    private boolean open;

    KvCache(Value keys, Value values, Value ranges, int capacity, SparseAttention sparse) {
        this.keys = keys;
        this.values = values;
        this.ranges = ranges;
        this.capacity = capacity;
        this.sparse = sparse;
    }

    /// Keys, a list of one tensor per block with attention.
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

    /// The same of what bounds the keys of each page, where pages are chosen ([PageAttention]).
    long boundsAddress() {
        if (boundsAddress == 0) {
            boundsAddress = ranges.members().getFirst().address();
        }
        return boundsAddress;
    }

    /// Scale and least value of each token's keys, where they are codes; how much attention each
    /// row has got and its place, where heavy hitters are kept; or what bounds the keys of each
    /// page.
    public Value ranges() {
        return ranges;
    }

    /// Rows, one for a position.
    public int capacity() {
        return capacity;
    }

    /// Positions that are filled.
    public int position() {
        return position;
    }

    /// Keeps the first `positions` only; what follows is written over.
    public void rewind(int positions) {
        int kept = Math.clamp(positions, 0, position);
        if (!holds(kept)) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "position %d was left for %d too long ago; its rows are used again",
                    kept,
                    position);
        }
        position = kept;
        open = false;
        written = kept <= sparse.sinks() ? kept : written;
    }

    /// Whether what a token behind the first `positions` sees is all there.
    public boolean holds(int positions) {
        if (sparse.heavy() > 0) {
            return positions == 0 || positions == position && !open;
        }
        int lost = written - capacity + sparse.sinks(); // first of those that are not sinks
        return positions <= position
                && (written <= capacity
                        || positions <= sparse.sinks()
                        || Math.max(positions + 1 - sparse.window(), sparse.sinks()) >= lost);
    }

    /// Whether rows are used again.
    public boolean recycled() {
        return written > capacity;
    }

    /// A pass over `tokens` more from `first` on begins.
    ///
    /// @throws LitheException where there is no room for them, or what they see is not there
    void begin(int first, int tokens) {
        if (first < 0 || (long) first + tokens > capacity && !sparse.recycles(capacity, tokens)) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "%d tokens at position %d of a cache of %d",
                    tokens,
                    first,
                    capacity);
        }
        if (sparse.heavy() > 0 && !holds(first)) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "%d tokens at position %d of a cache that keeps heavy hitters up to %d%s",
                    tokens,
                    first,
                    position,
                    open ? ", where a pass did not end" : "");
        }
        open = true;
    }

    /// Takes the first `positions` for filled with whatever is there: for measuring how long it
    /// takes to read on after them.
    public void skip(int positions) {
        filled(Math.clamp(positions, 0, capacity));
    }

    void filled(int positions) {
        position = positions;
        open = false;
        written = Math.max(written, positions);
    }

    /// Takes over what another held.
    void copied(KvCache from, int positions) {
        position = positions;
        written = from.recycled() ? from.written : positions;
    }

    /// Bytes of memory it holds.
    public long bytes() {
        return keys.bytes() + values.bytes() + ranges.bytes();
    }
}
