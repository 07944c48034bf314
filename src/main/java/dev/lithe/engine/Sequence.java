package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.KvCache;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// One request on its way through the engine: it waits, reads its prompt in pieces, then takes one
/// token per step. All but [#cancel] belongs to the engine's thread.
final class Sequence {
    private final GenerationRequest request;
    private final Answer answer;
    private final long stallNanos;
    private final boolean inBackground;
    private volatile boolean cancelled;
    private @Nullable Session session;
    private boolean over;
    private long lastReady;
    private int passedOver;

    /// Prompt and answer, as far as they are known.
    private int[] ids;

    private int count;

    /// @param inBackground whether nobody waits for it
    Sequence(
            GenerationRequest request,
            GenerationListener listener,
            long seed,
            long stallNanos,
            boolean inBackground) {
        this.request = request;
        this.answer = new Answer(request, listener, seed);
        this.stallNanos = stallNanos;
        this.inBackground = inBackground;
        this.ids = request.promptIds();
        this.count = ids.length;
    }

    GenerationRequest request() {
        return request;
    }

    /// Whether nobody waits for it.
    boolean inBackground() {
        return inBackground;
    }

    /// When it came, on the clock of [System#nanoTime].
    long arrived() {
        return answer.arrived();
    }

    void cancel() {
        cancelled = true;
    }

    /// Why it must not go on, if there is a reason.
    Optional<LitheException> withdrawn() {
        if (cancelled) {
            return Optional.of(
                    LitheException.of(
                            Fault.CANCELLED,
                            "cancelled by the caller after %d tokens",
                            answer.tokens()));
        }
        long now = System.nanoTime();
        if (request.deadline().isPresent() && now - request.deadline().getAsLong() >= 0) {
            return Optional.of(
                    LitheException.of(
                            Fault.DEADLINE,
                            "the deadline passed after %d tokens; allow more time or fewer tokens",
                            answer.tokens()));
        }
        if (session != null && now - lastReady > stallNanos && !listenerReady()) {
            return Optional.of(
                    LitheException.of(
                            Fault.EXHAUSTED,
                            "the reader took nothing for %d s; read faster",
                            TimeUnit.NANOSECONDS.toSeconds(stallNanos)));
        }
        return Optional.empty();
    }

    /// Takes memory and begins.
    void start(CacheMemory memory) {
        session = memory.open(request);
        lastReady = System.nanoTime();
        answer.start();
    }

    /// Refuses what its deadline does not leave time for, were the machine its own: what is unread
    /// of the prompt, and the tokens where their number is certain.
    ///
    /// @param share of the time that the pace was measured at which it may take, at most 1
    /// @param tokensPerStep most that a step gives
    /// @throws LitheException `DEADLINE`
    void requireTime(Pace pace, double share, int tokensPerStep) {
        if (request.deadline().isEmpty()) {
            return;
        }
        double left = request.deadline().getAsLong() - System.nanoTime();
        int certain = request.stop().ignoreEos() ? request.tokens() - 1 : 0;
        double steps = certain / (double) tokensPerStep;
        double needed = share * (pace.prefillNanos(unread()) + steps * pace.stepNanos());
        if (needed > left) {
            throw LitheException.of(
                    Fault.DEADLINE,
                    "the deadline is in %.0f ms, and the answer needs %.0f ms at least; allow more"
                            + " time or fewer tokens",
                    left / 1e6,
                    needed / 1e6);
        }
    }

    private boolean listenerReady() {
        try {
            return answer.ready();
        } catch (RuntimeException e) {
            cancel();
            return false;
        }
    }

    /// Whether its listener can take another token. One that cannot even tell is given up.
    boolean ready() {
        boolean ready = listenerReady();
        if (ready) {
            lastReady = System.nanoTime();
        }
        return ready;
    }

    /// Its keys and values, once it has started.
    KvCache cache() {
        if (session == null) {
            throw LitheException.of(Fault.INTERNAL, "a sequence without memory was computed on");
        }
        return session.cache();
    }

    /// Tokens that are known and not read yet: those of the prompt at first, then always one.
    int unread() {
        return count - read();
    }

    /// Tokens that were read.
    int read() {
        return cache().position();
    }

    /// Whether its prompt was read.
    boolean decoding() {
        return answer.tokens() > 0;
    }

    /// How often in a row others' prompts went first.
    int passedOver() {
        return passedOver;
    }

    void passOver() {
        passedOver++;
    }

    void takeTurn() {
        passedOver = 0;
    }

    /// The next unread tokens, at most so many.
    int[] piece(int most) {
        return piece(cache().position(), most);
    }

    /// Known tokens from a position on, at most so many.
    int[] piece(int from, int most) {
        return Arrays.copyOfRange(ids, from, Math.min(count, from + most));
    }

    /// Tokens that are known.
    int count() {
        return count;
    }

    /// Tokens that it may still compute.
    int left() {
        return request.tokens() - answer.tokens();
    }

    /// Whether a token would end it.
    boolean ends(int id) {
        return answer.ends(id);
    }

    /// What would choose its next tokens, for guessing them.
    Sampler ahead() {
        return answer.ahead();
    }

    /// Forgets what was read beyond the tokens that are known.
    void rewind() {
        cache().rewind(count - 1);
    }

    /// The token to read next.
    int last() {
        return ids[count - 1];
    }

    /// Whether its next token is the most likely one, so that its other logits do not matter.
    boolean greedy() {
        return answer.greedy();
    }

    /// Chooses a token.
    ///
    /// @param logits (V), changed in place
    int choose(float[] logits) {
        return answer.choose(logits);
    }

    /// Takes the token that was chosen.
    ///
    /// @return whether it was the last
    boolean accept(int id) {
        if (count == ids.length) {
            ids = Arrays.copyOf(ids, 2 * count);
        }
        ids[count++] = id;
        return answer.add(id);
    }

    /// Whether it has ended and takes no more.
    boolean over() {
        return over;
    }

    /// When it began to be computed, on the clock of [System#nanoTime].
    long admitted() {
        return answer.admitted();
    }

    /// Ends it: gives its memory back.
    ///
    /// @param keep whether what it remembers can be trusted
    void release(CacheMemory memory, boolean keep) {
        over = true;
        Session ended = session;
        session = null;
        if (ended != null) {
            // What was read after the token before the last may have been a guess.
            int position = keep ? Math.min(ended.position(), count - 1) : 0;
            memory.take(request.model(), Arrays.copyOf(ids, position), ended);
        }
    }

    /// Tells its listener that it failed.
    void fail(LitheException error) {
        answer.fail(error);
    }
}
