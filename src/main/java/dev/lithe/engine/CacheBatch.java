package dev.lithe.engine;

import dev.lithe.model.KvBatch;
import dev.lithe.model.KvCache;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The batch of some caches, kept as long as its members are the same.
final class CacheBatch implements AutoCloseable {
    private List<KvCache> members = List.of();
    private @Nullable KvBatch batch;

    KvBatch of(List<KvCache> caches) {
        KvBatch current = batch;
        if (current == null || !members.equals(caches)) {
            close();
            current = new KvBatch(caches);
            batch = current;
            members = List.copyOf(caches);
        }
        return current;
    }

    /// Lets go of the caches where one of them is not among `live`.
    void keepOnly(Collection<KvCache> live) {
        if (!live.containsAll(members)) {
            close();
        }
    }

    @Override
    public void close() {
        if (batch != null) {
            batch.close();
            batch = null;
            members = List.of();
        }
    }
}
