package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Guesses the next tokens of sequences of a model by another one, which reads along in caches of
/// its own. They count against the limit of all; a sequence for which there is no memory, or that
/// is too long for the draft, is not guessed for. Belongs to the engine's thread.
final class Drafter implements AutoCloseable {
    /// Tokens that the draft reads of all sequences' texts in one step where it is behind, so that
    /// nobody waits long for it.
    private static final int CATCH_UP = 16;

    /// And of each one's at least.
    private static final int SHORTEST_PIECE = 4;

    /// A text with so many tokens unread for each that is left to compute is not worth reading.
    private static final int TOO_FAR_BEHIND = 8;

    private final ServedModel model;
    private final CacheMemory memory;
    private final Map<Sequence, Session> sessions = new LinkedHashMap<>();
    private final CacheBatch batch = new CacheBatch();

    Drafter(ServedModel model, CacheMemory memory) {
        this.model = model;
        this.memory = memory;
    }

    /// What becomes of one sequence in a step.
    private static final class Guess {
        private final Sequence sequence;
        private final int place;
        private final KvCache cache;
        private final Sampler sampler;
        private final int[] ids;
        private int count;
        private boolean over;

        Guess(Sequence sequence, int place, KvCache cache, int most) {
            this.sequence = sequence;
            this.place = place;
            this.cache = cache;
            this.sampler = sequence.ahead();
            this.ids = new int[most];
        }

        KvCache cache() {
            return cache;
        }

        boolean over() {
            return over;
        }

        int[] last() {
            return new int[] {ids[count - 1]};
        }

        /// Takes the next guess from a row, unless the draft is still behind.
        void take(Choices choices, int row) {
            if (cache.position() < sequence.count()) {
                over = true;
                return;
            }
            int id = choices.of(row, sampler.greedy(), sampler::next);
            sampler.occurred(id);
            ids[count++] = id;
            over = count == ids.length || sequence.ends(id);
        }
    }

    /// Guesses for each of `sequences`, at most so many and none beyond its last token.
    int[][] propose(List<Sequence> sequences, int most) {
        int[][] drafts = new int[sequences.size()][0];
        List<Guess> open = new ArrayList<>();
        for (int i = 0; i < drafts.length && most > 0; i++) {
            Guess guess = begin(sequences.get(i), i, most);
            if (guess != null) {
                open.add(guess);
            }
        }
        if (open.isEmpty()) {
            return drafts;
        }
        int room = Math.max(SHORTEST_PIECE, CATCH_UP / open.size());
        run(
                open,
                open.stream()
                        .map(each -> each.sequence.piece(each.cache.position(), room))
                        .toArray(int[][]::new));
        for (List<Guess> left = unfinished(open); !left.isEmpty(); left = unfinished(left)) {
            run(left, left.stream().map(Guess::last).toArray(int[][]::new));
        }
        open.forEach(each -> drafts[each.place] = Arrays.copyOf(each.ids, each.count));
        return drafts;
    }

    private static List<Guess> unfinished(List<Guess> guesses) {
        return guesses.stream().filter(each -> !each.over()).toList();
    }

    private @Nullable Guess begin(Sequence sequence, int place, int most) {
        // The token after the guesses is the target's in any case.
        int useful = Math.min(most, sequence.left() - 1);
        Session session = useful < 1 ? null : session(sequence);
        return session == null ? null : new Guess(sequence, place, session.cache(), useful);
    }

    private @Nullable Session session(Sequence sequence) {
        Session known = sessions.get(sequence);
        GenerationRequest request = sequence.request();
        int capacity = request.capacity();
        if (known != null
                || sequence.count() > TOO_FAR_BEHIND * sequence.left()
                || capacity > model.decoder().spec().longestText()
                || !memory.fits(model.decoder().spec().cacheBytes(capacity))) {
            return known;
        }
        int[] ids = sequence.piece(0, sequence.count());
        Session session = memory.open(model, ids, capacity, !request.fresh());
        sessions.put(sequence, session);
        return session;
    }

    private void run(List<Guess> guesses, int[][] pieces) {
        Decoder decoder = model.decoder();
        try (var step = TensorScope.open()) {
            var caches = batch.of(guesses.stream().map(Guess::cache).toList());
            Value logits = decoder.extend(pieces, caches, false, step);
            var choices = new Choices(guesses.size(), logits);
            for (int i = 0; i < guesses.size(); i++) {
                guesses.get(i).take(choices, i);
            }
        }
    }

    /// Forgets the guesses that were wrong, and sequences that have ended.
    void settle() {
        for (Map.Entry<Sequence, Session> each : List.copyOf(sessions.entrySet())) {
            Sequence sequence = each.getKey();
            if (sequence.over()) {
                release(sequence);
            } else {
                each.getValue().cache().rewind(sequence.count() - 1);
            }
        }
    }

    private void release(Sequence sequence) {
        Session session = sessions.remove(sequence);
        if (session != null) {
            batch.close();
            int read = Math.min(session.position(), sequence.count() - 1);
            memory.take(model, sequence.piece(0, read), session);
        }
    }

    /// Forgets all sequences; what was read of them is kept as far as memory lasts.
    @Override
    public void close() {
        batch.close();
        new ArrayList<>(sessions.keySet()).forEach(this::release);
    }
}
