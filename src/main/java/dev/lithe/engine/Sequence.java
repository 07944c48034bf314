package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// One request on its way through the engine. All but [#cancel] belongs to the engine's thread.
final class Sequence {
    private final GenerationRequest request;
    private final GenerationListener listener;
    private final long seed;
    private final long stallNanos;
    private final long arrived = System.nanoTime();
    private final TokenStream text;
    private final Sampler sampler;
    private volatile boolean cancelled;
    private @Nullable Session session;
    private long admitted;
    private long first;
    private long lastReady;
    private int lastToken;
    private int computed;

    Sequence(GenerationRequest request, GenerationListener listener, long seed, long stallNanos) {
        this.request = request;
        this.listener = listener;
        this.seed = seed;
        this.stallNanos = stallNanos;
        this.text = new TokenStream(request.model().tokenizer(), request.stop().stopStrings());
        this.sampler = new Sampler(request.sampling(), seed);
    }

    void cancel() {
        cancelled = true;
    }

    /// Why it must not go on, if there is a reason.
    Optional<LitheException> withdrawn() {
        if (cancelled) {
            return Optional.of(
                    LitheException.of(
                            Fault.CANCELLED, "cancelled by the caller after %d tokens", computed));
        }
        long now = System.nanoTime();
        if (request.deadline().isPresent() && now - request.deadline().getAsLong() >= 0) {
            return Optional.of(
                    LitheException.of(
                            Fault.DEADLINE,
                            "the deadline passed after %d tokens; allow more time or fewer tokens",
                            computed));
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
    void start() {
        admitted = System.nanoTime();
        lastReady = admitted;
        session = Session.open(request.model().decoder(), request.capacity());
        listener.onStart(request.prompt().size(), seed);
    }

    /// Bytes of memory that its cache occupies while it runs.
    long cacheBytes() {
        return request.cacheBytes();
    }

    private boolean listenerReady() {
        try {
            return listener.ready();
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

    /// Computes one token.
    ///
    /// @return whether it was the last
    boolean step() {
        float[] logits = logits();
        float[] raw = request.topLogprobs().isPresent() ? logits.clone() : logits;
        int id = sampler.next(logits);
        computed++;
        if (computed == 1) {
            first = System.nanoTime();
        }
        lastToken = id;
        sampler.occurred(id);
        request.topLogprobs().ifPresent(top -> listener.onLogprobs(TokenLogprobs.of(raw, id, top)));
        boolean ended = ends(id);
        String delta = text.add(id);
        boolean last = ended || computed == request.tokens() || text.stopString().isPresent();
        listener.onDelta(last ? delta + text.finish() : delta, List.of(id));
        if (last) {
            listener.onFinish(finish(ended));
        }
        return last;
    }

    private boolean ends(int id) {
        return !request.stop().ignoreEos()
                && request.model().decoder().spec().eosTokens().contains(id);
    }

    private float[] logits() {
        if (session == null) {
            throw LitheException.of(Fault.INTERNAL, "a sequence was stepped before its start");
        }
        if (computed > 0) {
            return session.decode(lastToken);
        }
        int[] prompt = request.prompt().stream().mapToInt(Integer::intValue).toArray();
        sampler.occurred(prompt);
        return session.prefill(prompt);
    }

    private Finish finish(boolean ended) {
        FinishReason reason =
                text.stopString().isPresent()
                        ? FinishReason.STOP_STRING
                        : ended ? FinishReason.STOP_TOKEN : FinishReason.LENGTH;
        return new Finish(
                reason,
                text.stopString(),
                request.prompt().size(),
                computed,
                millis(admitted - arrived),
                millis(first - arrived),
                millis(System.nanoTime() - first));
    }

    private static double millis(long nanos) {
        return nanos / 1e6;
    }

    void fail(LitheException error) {
        listener.onError(error);
    }

    /// Frees its memory.
    void release() {
        if (session != null) {
            session.close();
            session = null;
        }
    }
}
