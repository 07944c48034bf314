package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.model.SparseAttention;
import dev.lithe.tensor.TensorScope;
import java.util.Arrays;

/// One sequence on one model: a key-value cache and how far it is filled. Plain and synchronous;
/// the caller's thread computes. Not safe for use by several threads at once.
public final class Session implements AutoCloseable {
    private final Decoder decoder;
    private final int capacity;
    private final TensorScope scope = TensorScope.open();
    private final KvCache cache;

    private Session(Decoder decoder, int capacity) {
        this.decoder = decoder;
        this.capacity = capacity;
        this.cache = decoder.newCache(1, decoder.spec().cacheRows(capacity), scope);
    }

    /// An empty session with room for `capacity` tokens.
    ///
    /// @throws LitheException where the model has no so long context
    public static Session open(Decoder decoder, int capacity) {
        int limit = decoder.spec().longestText();
        if (capacity < 1 || capacity > limit) {
            throw LitheException.badInput(
                    "a session of %d tokens does not fit the model's context of %d",
                    capacity, limit);
        }
        return new Session(decoder, capacity);
    }

    /// Reads a prompt at once and returns the logits (V) of the token after it.
    public float[] prefill(int[] ids) {
        int vocabulary = decoder.spec().vocabSize();
        int position = cache.position();
        if (ids.length == 0 || ids.length > capacity - position) {
            throw LitheException.badInput(
                    "%d tokens at position %d; the session has room for 1 to %d more",
                    ids.length, position, capacity - position);
        }
        for (int id : ids) {
            if (id < 0 || id >= vocabulary) {
                throw LitheException.badInput(
                        "token id %d is not in the vocabulary of %d", id, vocabulary);
            }
        }
        int piece = decoder.spec().sparseAttention().limited() ? SparseAttention.PIECE : ids.length;
        for (int first = 0; first + piece < ids.length; first += piece) {
            float[] _ = decoder.next(Arrays.copyOfRange(ids, first, first + piece), cache);
        }
        int last = (ids.length - 1) / piece * piece;
        return decoder.next(Arrays.copyOfRange(ids, last, ids.length), cache);
    }

    /// Reads one more token and returns the logits (V) of the token after it.
    public float[] decode(int id) {
        return prefill(new int[] {id});
    }

    /// Bytes of memory of its cache.
    public long cacheBytes() {
        return cache.bytes();
    }

    /// Tokens read so far.
    public int position() {
        return cache.position();
    }

    /// What it remembers.
    KvCache cache() {
        return cache;
    }

    /// Whether what a text that begins with the first `positions` sees can be copied: not where
    /// they are far behind in a text whose rows are used again.
    boolean copyable(int positions) {
        return cache.holds(positions)
                && (!cache.recycled() || decoder.spec().cacheRows(positions) == cache.capacity());
    }

    /// A new session with room for `capacity` tokens that has read the first `positions` of this.
    Session copy(int positions, int capacity) {
        Session copy = open(decoder, capacity);
        try {
            decoder.copy(cache, positions, copy.cache);
            return copy;
        } catch (RuntimeException e) {
            copy.close();
            throw e;
        }
    }

    @Override
    public void close() {
        scope.close();
    }
}
