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

    /// A session for a request, which has read what is known of its prompt; what it needs is taken
    /// from the limit until [#take] gets it back.
    Session open(GenerationRequest request) {
        int[] prompt = request.promptIds();
        boolean known = reuse && !request.fresh();
        Session session =
                known
                        ? kept.open(request.model(), prompt, request.capacity())
                        : Session.open(request.model().decoder(), request.capacity());
        running += request.cacheBytes();
        shrink();
        return session;
    }

    /// Takes back the session of an ended sequence.
    ///
    /// @param ids the tokens that it has read
    void take(GenerationRequest request, int[] ids, Session session) {
        running -= request.cacheBytes();
        if (reuse) {
            kept.add(request.model(), ids, session);
        } else {
            session.close();
        }
        shrink();
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
