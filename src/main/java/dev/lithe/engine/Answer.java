package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.OptionalInt;

/// What a request's listener hears: chooses tokens, turns them into text, knows when it is enough,
/// and keeps the times.
final class Answer {
    private final GenerationRequest request;
    private final GenerationListener listener;
    private final long seed;
    private final long arrived = System.nanoTime();
    private final TokenStream text;
    private final Sampler sampler;
    private long admitted;
    private long first;
    private int tokens;

    Answer(GenerationRequest request, GenerationListener listener, long seed) {
        this.request = request;
        this.listener = listener;
        this.seed = seed;
        this.text = new TokenStream(request.model().tokenizer(), request.stop().stopStrings());
        this.sampler = new Sampler(request.sampling(), seed);
        sampler.occurred(request.promptIds());
    }

    void start() {
        admitted = System.nanoTime();
        listener.onStart(request.prompt().size(), seed);
    }

    boolean ready() {
        return listener.ready();
    }

    /// Tokens so far.
    int tokens() {
        return tokens;
    }

    long arrived() {
        return arrived;
    }

    long admitted() {
        return admitted;
    }

    boolean greedy() {
        return sampler.greedy() && request.topLogprobs().isEmpty();
    }

    /// What would choose the next tokens, for guessing them.
    Sampler ahead() {
        return sampler.ahead();
    }

    int choose(float[] logits) {
        OptionalInt top = request.topLogprobs();
        if (top.isEmpty()) {
            return sampler.next(logits);
        }
        float[] raw = logits.clone();
        int id = sampler.next(logits);
        listener.onLogprobs(TokenLogprobs.of(raw, id, top.getAsInt()));
        return id;
    }

    /// Tells of the next token.
    ///
    /// @return whether it was the last
    boolean add(int id) {
        tokens++;
        if (tokens == 1) {
            first = System.nanoTime();
        }
        sampler.occurred(id);
        boolean ended = ends(id);
        String delta = text.add(id);
        boolean last = ended || tokens == request.tokens() || text.stopString().isPresent();
        listener.onDelta(last ? delta + text.finish() : delta, List.of(id));
        if (last) {
            listener.onFinish(finish(ended));
        }
        return last;
    }

    /// Whether it is the model's end token and counts as that.
    boolean ends(int id) {
        return !request.stop().ignoreEos() && request.model().decoder().ends(id);
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
                tokens,
                millis(admitted - arrived),
                millis(first - arrived),
                millis(System.nanoTime() - first));
    }

    private static double millis(long nanos) {
        return nanos / 1e6;
    }

    void fail(LitheException error) {
        try {
            listener.onError(error);
        } catch (RuntimeException e) {
            // A listener that breaks while it hears of its end has nobody left to tell.
            System.getLogger(Answer.class.getName()).log(Level.DEBUG, "a listener failed", e);
        }
    }
}
