package dev.lithe.engine;

/// The memory of all key-value caches: those of running sequences, and what is left of the limit
/// for those kept of ended ones. Belongs to the engine's thread.
final class CacheMemory implements AutoCloseable {
    private final long limit;
    private final boolean reuse;
    private final PrefixCache kept = new PrefixCache();
    private long running;
    private volatile long used;

    CacheMemory(EngineLimits limits) {
        this.limit = limits.cacheBytes();
        this.reuse = limits.reusePrefixes();
    }

    /// Whether a sequence that needs so much can start once kept caches make room.
    boolean fits(long bytes) {
        return running + bytes <= limit;
    }

    /// A session with room for `capacity` tokens, which has read what is known of a prompt; what it
    /// needs is taken from the limit until [#take] gets it back.
    ///
    /// @param known whether what is known may be used
    Session open(ServedModel model, int[] prompt, int capacity, boolean known) {
        Session session =
                reuse && known
                        ? kept.open(model, prompt, capacity)
                        : Session.open(model.decoder(), capacity);
        running += bytes(model, session);
        shrink();
        return session;
    }

    /// One for a request.
    Session open(GenerationRequest request) {
        return open(request.model(), request.promptIds(), request.capacity(), !request.fresh());
    }

    /// Takes back the session of an ended sequence.
    ///
    /// @param ids the tokens that it has read
    void take(ServedModel model, int[] ids, Session session) {
        running -= bytes(model, session);
        if (reuse) {
            kept.add(model, ids, session);
        } else {
            session.close();
        }
        shrink();
    }

    private static long bytes(ServedModel model, Session session) {
        return model.decoder().spec().cacheBytes(session.cache().capacity());
    }

    /// Takes some of the limit for a cache that is not kept.
    ///
    /// @return whether there was so much
    boolean reserve(long bytes) {
        if (!fits(bytes)) {
            return false;
        }
        running += bytes;
        shrink();
        return true;
    }

    /// Gives it back.
    void free(long bytes) {
        running -= bytes;
        shrink();
    }

    private void shrink() {
        while (running + kept.bytes() > limit && kept.evict()) {
            // each makes room
        }
        used = running + kept.bytes();
    }

    /// Bytes in use; for watching, from any thread.
    long used() {
        return used;
    }

    @Override
    public void close() {
        kept.close();
        used = running;
    }
}
