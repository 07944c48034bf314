package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// The caches of several sequences that are computed together, in the order of their rows, as the
/// kernels take them. It owns the lists only, but what is in them lives as long as it does: close
/// it when its members change.
public final class KvBatch implements AutoCloseable {
    private final TensorScope scope = TensorScope.open();
    private final List<KvCache> caches;
    private final Value keys;
    private final Value values;
    private final Value ranges;

    /// @param caches of one decoder and of one sequence each, none twice
    public KvBatch(List<KvCache> caches) {
        if (caches.isEmpty()) {
            throw LitheException.of(Fault.INTERNAL, "a batch needs at least one cache");
        }
        this.caches = List.copyOf(caches);
        this.keys = lists(caches.stream().map(KvCache::keys).toList());
        this.values = lists(caches.stream().map(KvCache::values).toList());
        this.ranges = lists(caches.stream().map(KvCache::ranges).toList());
    }

    private Value lists(List<Value> members) {
        Value lists = scope.call("new_lists", members.getFirst());
        members.forEach(member -> scope.call("append_list", lists, member));
        return lists;
    }

    /// Its members, in order.
    public List<KvCache> caches() {
        return caches;
    }

    Value keys() {
        return keys;
    }

    Value values() {
        return values;
    }

    Value ranges() {
        return ranges;
    }

    @Override
    public void close() {
        scope.close();
    }
}
