package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// One sequence on one model: a key-value cache and how far it is filled. Plain and synchronous;
/// the caller's thread computes. Not safe for use by several threads at once.
public final class Session implements AutoCloseable {
    private final Decoder decoder;
    private final TensorScope scope = TensorScope.open();
    private final KvCache cache;

    private Session(Decoder decoder, int capacity) {
        this.decoder = decoder;
        this.cache = decoder.newCache(1, capacity, scope);
    }

    /// An empty session with room for `capacity` tokens.
    ///
    /// @throws LitheException where the model has no so long context
    public static Session open(Decoder decoder, int capacity) {
        int limit = decoder.spec().maxPositions();
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
        if (ids.length == 0 || ids.length > cache.capacity() - position) {
            throw LitheException.badInput(
                    "%d tokens at position %d; the session has room for 1 to %d more",
                    ids.length, position, cache.capacity() - position);
        }
        long[] elements = new long[ids.length];
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] < 0 || ids[i] >= vocabulary) {
                throw LitheException.badInput(
                        "token id %d is not in the vocabulary of %d", ids[i], vocabulary);
            }
            elements[i] = ids[i];
        }
        try (var step = TensorScope.open()) {
            Value input = step.tensor(elements, 1, elements.length); // (1, T)
            return decoder.forward(input, position, cache, false, step).floats();
        }
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
