package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.ForwardingListener;
import dev.lithe.engine.GenerationListener;
import dev.lithe.proto.v1.GenerationInput;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// What is told of one call when it has ended: who asked what for how long, and never the text of a
/// prompt or an answer. A call may hold several generations; their tokens are summed.
final class CallRecord {
    static final String REQUEST_ID = "x-request-id";
    private static final int MAX_REQUEST_ID = 256;

    /// A stream of requests may go on for ever.
    private static final int MAX_REASONS = Batch.MAX_INPUTS;

    private final String id;
    private final String method;
    private final Map<String, String> trace;
    private final long startMillis = System.currentTimeMillis();
    private final long startNanos = System.nanoTime();
    private final Consumer<CallRecord> told;

    private final List<String> variants = new ArrayList<>();
    private final List<String> reasons = new ArrayList<>();
    private @Nullable GenerationInput input;
    private int promptTokens;
    private int outputTokens;
    private double queueMillis;
    private long firstNanos;
    private long endNanos;
    private String status = "";

    /// @param id the client's, or null
    /// @param method what was called
    /// @param trace the headers of the W3C's trace context, as far as they came
    /// @param told hears of the end
    CallRecord(
            @Nullable String id,
            String method,
            Map<String, String> trace,
            Consumer<CallRecord> told) {
        this.id = id == null || id.isEmpty() || id.length() > MAX_REQUEST_ID ? newId() : id;
        this.method = method;
        this.trace = Map.copyOf(trace);
        this.told = told;
    }

    /// Of a call that nobody is told of.
    static CallRecord untold() {
        return new CallRecord(null, "", Map.of(), _ -> {});
    }

    private static String newId() {
        return HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
    }

    /// The client's id of the request, or one of ours.
    String id() {
        return id;
    }

    String method() {
        return method;
    }

    Map<String, String> trace() {
        return trace;
    }

    /// A listener that notes what it passes on.
    GenerationListener observe(
            GenerationInput generation, String variant, GenerationListener listener) {
        synchronized (this) {
            input = input == null ? generation : input;
            if (!variants.contains(variant)) {
                variants.add(variant);
            }
        }
        return new Observed(listener);
    }

    /// Notes the end; only the first counts.
    void ended(String how) {
        synchronized (this) {
            if (!status.isEmpty()) {
                return;
            }
            status = how;
            endNanos = System.nanoTime();
        }
        told.accept(this);
    }

    /// The first generation's request; null where none was begun.
    synchronized @Nullable GenerationInput input() {
        return input;
    }

    /// Who answered; several names where several did, none where nobody.
    synchronized String variant() {
        return String.join(",", variants);
    }

    /// Why its generations ended, the first of them.
    synchronized List<String> reasons() {
        return List.copyOf(reasons);
    }

    synchronized int promptTokens() {
        return promptTokens;
    }

    synchronized int outputTokens() {
        return outputTokens;
    }

    /// The longest that a generation of it waited.
    synchronized double queueMillis() {
        return queueMillis;
    }

    /// Until the first token; 0 where none came.
    synchronized double firstMillis() {
        return firstNanos == 0 ? 0 : (firstNanos - startNanos) / 1e6;
    }

    synchronized double millis() {
        return (endNanos - startNanos) / 1e6;
    }

    /// On the clock of [System#currentTimeMillis].
    long startMillis() {
        return startMillis;
    }

    synchronized String status() {
        return status;
    }

    private synchronized void started(int tokens) {
        promptTokens += tokens;
    }

    private synchronized void came(int tokens) {
        firstNanos = firstNanos == 0 ? System.nanoTime() : firstNanos;
        outputTokens += tokens;
    }

    private synchronized void finished(Finish finish) {
        if (reasons.size() < MAX_REASONS) {
            reasons.add(OpenAiAnswer.reason(finish.reason()));
        }
        queueMillis = Math.max(queueMillis, finish.queueMillis());
    }

    private final class Observed extends ForwardingListener {
        private Observed(GenerationListener listener) {
            super(listener);
        }

        @Override
        public void onStart(int tokens, long seed) {
            started(tokens);
            super.onStart(tokens, seed);
        }

        @Override
        public void onDelta(String text, List<Integer> ids) {
            came(ids.size());
            super.onDelta(text, ids);
        }

        @Override
        public void onFinish(Finish finish) {
            finished(finish);
            super.onFinish(finish);
        }
    }
}
