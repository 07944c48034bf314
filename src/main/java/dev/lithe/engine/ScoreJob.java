package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// One text on its way through the engine, a few tokens at a time so that generation goes on beside
/// it. All but [#cancel] belongs to the engine's thread.
final class ScoreJob {
    /// Logits of one step: 4 MB of them.
    private static final int STEP_ELEMENTS = 1 << 20;

    private static final int STEP_TOKENS = 128;

    private final ScoreRequest request;
    private final ScoreListener listener;
    private final List<TokenLogprobs> scored = new ArrayList<>();
    private final long arrived = System.nanoTime();
    private volatile boolean cancelled;
    private @Nullable TensorScope scope;
    private @Nullable KvCache cache;
    private int position;

    ScoreJob(ScoreRequest request, ScoreListener listener) {
        this.request = request;
        this.listener = listener;
    }

    /// Bytes of memory that its cache takes.
    long cacheBytes() {
        return request.cacheBytes();
    }

    /// When it came, on the clock of [System#nanoTime].
    long arrived() {
        return arrived;
    }

    void cancel() {
        cancelled = true;
    }

    /// Why it must not go on, if there is a reason.
    Optional<LitheException> withdrawn() {
        if (cancelled) {
            return Optional.of(
                    LitheException.of(
                            Fault.CANCELLED, "cancelled by the caller after %d tokens", position));
        }
        if (request.deadline().isPresent()
                && System.nanoTime() - request.deadline().getAsLong() >= 0) {
            return Optional.of(
                    LitheException.of(
                            Fault.DEADLINE,
                            "the deadline passed after %d tokens; allow more time or less text",
                            position));
        }
        return Optional.empty();
    }

    /// Reads the next few tokens.
    ///
    /// @return whether they were the last
    boolean step() {
        Decoder decoder = request.model().decoder();
        if (scope == null) {
            scope = TensorScope.open();
            int rows = decoder.spec().cacheRows(request.ids().size());
            cache = decoder.newCache(1, rows, scope);
        }
        int vocabulary = decoder.spec().vocabSize();
        // The last token is scored, not read.
        int left = request.ids().size() - 1 - position;
        int count = Math.min(left, Math.clamp(STEP_ELEMENTS / vocabulary, 1, STEP_TOKENS));
        long[] ids =
                request.ids().subList(position, position + count).stream()
                        .mapToLong(Integer::longValue)
                        .toArray();
        try (var step = TensorScope.open()) {
            Value input = step.tensor(ids, 1, count); // (1, T)
            if (cache == null) {
                throw LitheException.of(Fault.INTERNAL, "a text was scored before its start");
            }
            boolean all = position + count >= request.first();
            float[] logits = decoder.forward(input, position, cache, all, step).floats();
            if (all) {
                score(logits, vocabulary, count);
            }
        }
        position += count;
        if (count == left) {
            listener.onScored(List.copyOf(scored));
        }
        return count == left;
    }

    /// @param logits (T, V) of the tokens after those just read
    private void score(float[] logits, int vocabulary, int count) {
        for (int row = 0; row < count; row++) {
            int target = position + row + 1;
            if (target >= request.first()) {
                float[] one = Arrays.copyOfRange(logits, row * vocabulary, (row + 1) * vocabulary);
                int id = request.ids().get(target);
                TokenLogprobs token = TokenLogprobs.of(one, id, request.topLogprobs());
                if (Float.isNaN(token.logprob())) {
                    throw LitheException.of(
                            Fault.INTERNAL,
                            "a logit of token %d is not a number; the model's weights are broken",
                            target);
                }
                scored.add(token);
            }
        }
    }

    void fail(LitheException error) {
        listener.onError(error);
    }

    /// Frees its memory.
    void release() {
        if (scope != null) {
            scope.close();
            scope = null;
            cache = null;
        }
    }
}
