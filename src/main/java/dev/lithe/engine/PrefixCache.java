package dev.lithe.engine;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;

/// What ended sequences remember, for prompts that begin as they did; the least recently used goes
/// first. Belongs to the engine's thread.
final class PrefixCache implements AutoCloseable {
    /// Fewer tokens than this are computed anew: nearly every prompt shares its first with others.
    private static final int SHORTEST = 16;

    private static final int MOST = 256;

    /// @param ids the tokens that the session has read
    private record Entry(ServedModel model, int[] ids, Session session, long bytes) {
        int common(ServedModel other, int[] prompt) {
            if (model.decoder() != other.decoder()) {
                return 0;
            }
            int mismatch = Arrays.mismatch(ids, prompt);
            return mismatch < 0 ? ids.length : mismatch;
        }

        /// How much of a prompt a session can take over from it, the last token aside.
        int useful(ServedModel other, int[] prompt) {
            int common = Math.min(common(other, prompt), prompt.length - 1);
            return session.copyable(common) ? common : 0;
        }
    }

    private final Deque<Entry> entries = new ArrayDeque<>();
    private long bytes;

    /// A session with room for `capacity` tokens that has read the longest known beginning of
    /// `prompt`, but not all of it: the last token's logits are still to be computed.
    Session open(ServedModel model, int[] prompt, int capacity) {
        Entry best = longest(model, prompt);
        if (best == null) {
            return Session.open(model.decoder(), capacity);
        }
        entries.remove(best);
        entries.addLast(best);
        return best.session.copy(best.useful(model, prompt), capacity);
    }

    private @Nullable Entry longest(ServedModel model, int[] prompt) {
        Entry best = null;
        int most = SHORTEST - 1;
        for (Entry entry : entries) {
            int useful = entry.useful(model, prompt);
            if (useful > most) {
                most = useful;
                best = entry;
            }
        }
        return best;
    }

    /// Takes over a session that has read `ids`, or closes it where that is not worth keeping.
    void add(ServedModel model, int[] ids, Session session) {
        if (ids.length < SHORTEST || longer(model, ids) || !session.copyable(ids.length)) {
            session.close();
            return;
        }
        for (Iterator<Entry> each = entries.iterator(); each.hasNext(); ) {
            Entry entry = each.next();
            if (entry.common(model, ids) == entry.ids.length
                    && session.copyable(entry.ids.length)) {
                each.remove();
                close(entry);
            }
        }
        if (entries.size() == MOST) {
            evict();
        }
        Session kept;
        try {
            kept = trim(session, ids.length);
        } catch (RuntimeException | OutOfMemoryError _) {
            return; // no room for a copy, and it is closed
        }
        long size = model.decoder().spec().cacheBytes(kept.cache().capacity());
        entries.addLast(new Entry(model, ids, kept, size));
        bytes += size;
    }

    /// Whether one is kept that read all of `ids` already.
    private boolean longer(ServedModel model, int[] ids) {
        return entries.stream()
                .anyMatch(entry ->
                        entry.common(model, ids) == ids.length
                                && entry.session.copyable(ids.length));
    }

    /// Gives up room that was reserved and not used.
    private static Session trim(Session session, int length) {
        if (session.cache().capacity() <= length + length / 4) {
            return session;
        }
        try (session) {
            return session.copy(length, length);
        }
    }

    /// Bytes of memory that all hold.
    long bytes() {
        return bytes;
    }

    /// Closes the least recently used.
    ///
    /// @return whether there was one
    boolean evict() {
        Entry oldest = entries.pollFirst();
        if (oldest == null) {
            return false;
        }
        close(oldest);
        return true;
    }

    private void close(Entry entry) {
        bytes -= entry.bytes;
        entry.session.close();
    }

    @Override
    public void close() {
        while (evict()) {
            // each closes one
        }
    }
}
