package dev.lithe.route;

import dev.lithe.engine.Engine;
import dev.lithe.engine.Finish;
import dev.lithe.engine.ForwardingListener;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.random.RandomGenerator;

/// Has a variant answer copies of other variants' requests, unheard, and compares what it says.
///
/// It never delays a request that somebody waits for: a copy is made when the answer is out, one at
/// a time is computed, and only while no request is under way and none was for [#LINGER_NANOS]. At
/// most [#WAITING] wait for that; more are dropped. A request that comes meanwhile waits for the
/// step under way and no more; where it needs the place or the memory of the copy, that is dropped.
public final class Shadow implements AutoCloseable {
    static final int WAITING = 64;
    private static final long LINGER_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    /// What came of the copies.
    ///
    /// @param dropped never computed, or not to the end
    /// @param compared tokens of the answers that were copied
    /// @param same of these, those that the copy has at the same place, from the start on
    public record Counts(long completed, long dropped, long compared, long same) {}

    private record Copy(GenerationRequest request, List<Integer> answer) {}

    private final Engine engine;
    private final Variant variant;
    private final double fraction;
    private final RandomGenerator random;
    private final AtomicInteger live = new AtomicInteger();
    private volatile long lastLive = System.nanoTime() - LINGER_NANOS;
    private final BlockingQueue<Copy> waiting = new ArrayBlockingQueue<>(WAITING);
    private final AtomicBoolean busy = new AtomicBoolean();
    private final LongAdder completed = new LongAdder();
    private final LongAdder dropped = new LongAdder();
    private final LongAdder compared = new LongAdder();
    private final LongAdder same = new LongAdder();
    private final ScheduledExecutorService clock =
            Executors.newSingleThreadScheduledExecutor(
                    Thread.ofPlatform().daemon().name("lithe-shadow").factory());

    /// @param fraction part of the requests that are copied
    public Shadow(Engine engine, Variant variant, double fraction, RandomGenerator random) {
        this.engine = engine;
        this.variant = variant;
        this.fraction = fraction;
        this.random = random;
    }

    /// The variant that answers the copies.
    public Variant variant() {
        return variant;
    }

    public Counts counts() {
        return new Counts(completed.sum(), dropped.sum(), compared.sum(), same.sum());
    }

    /// A listener that passes on what it hears of a request, which is under way until it hears the
    /// end or [Live#abandon] is called.
    public Live watch(Route route, GenerationRequest request, GenerationListener listener) {
        return new Live(request, listener, copies(route, request));
    }

    private boolean copies(Route route, GenerationRequest request) {
        int vocabulary = request.model().decoder().spec().vocabSize();
        boolean comparable = variant.model().decoder().spec().vocabSize() == vocabulary;
        boolean other = !route.variant().name().equals(variant.name());
        synchronized (random) {
            return comparable && other && random.nextDouble() < fraction;
        }
    }

    private boolean quiet() {
        return live.get() == 0 && System.nanoTime() - lastLive >= LINGER_NANOS;
    }

    private void later() {
        try {
            clock.schedule(this::tick, LINGER_NANOS, TimeUnit.NANOSECONDS);
        } catch (RejectedExecutionException _) {
            dropped.add(waiting.size());
            waiting.clear();
        }
    }

    /// Goes on with the copy under way, or begins the next, if it is quiet.
    private void tick() {
        if (!quiet()) {
            return;
        }
        if (!busy.compareAndSet(false, true)) {
            engine.wake();
            return;
        }
        Copy copy = waiting.poll();
        if (copy == null) {
            busy.set(false);
            return;
        }
        try {
            engine.submitInBackground(copy.request(), new Unheard(copy));
        } catch (LitheException _) {
            dropped.increment();
            busy.set(false);
        }
    }

    @Override
    public void close() {
        clock.shutdownNow();
    }

    /// Hears of a request that somebody waits for.
    public final class Live extends ForwardingListener {
        private final GenerationRequest request;
        private final boolean copied;
        private final List<Integer> answer = new ArrayList<>();
        private final AtomicBoolean ended = new AtomicBoolean();
        private long seed;

        private Live(GenerationRequest request, GenerationListener listener, boolean copied) {
            super(listener);
            this.request = request;
            this.copied = copied;
            live.incrementAndGet();
        }

        /// The request never got under way.
        public void abandon() {
            if (ended.compareAndSet(false, true)) {
                lastLive = System.nanoTime();
                live.decrementAndGet();
                later();
            }
        }

        @Override
        public void onStart(int promptTokens, long start) {
            seed = start;
            super.onStart(promptTokens, start);
        }

        @Override
        public void onDelta(String text, List<Integer> ids) {
            if (copied) {
                answer.addAll(ids);
            }
            super.onDelta(text, ids);
        }

        @Override
        public void onFinish(Finish finish) {
            super.onFinish(finish);
            if (copied && !waiting.offer(copy())) {
                dropped.increment();
            }
            abandon();
        }

        private Copy copy() {
            SamplingOptions options = request.sampling();
            var sampling =
                    new SamplingOptions(
                            options.temperature(),
                            options.topK(),
                            options.topP(),
                            options.minP(),
                            options.repetitionPenalty(),
                            OptionalLong.of(seed));
            var again =
                    new GenerationRequest(
                            variant.model(),
                            request.prompt(),
                            sampling,
                            request.stop(),
                            OptionalLong.empty());
            return new Copy(again, answer);
        }

        @Override
        public void onError(LitheException error) {
            super.onError(error);
            abandon();
        }
    }

    /// Hears of a copy.
    private final class Unheard implements GenerationListener {
        private final Copy copy;
        private int at;
        private int agreed;

        private Unheard(Copy copy) {
            this.copy = copy;
        }

        @Override
        public boolean ready() {
            return quiet();
        }

        @Override
        public void onStart(int promptTokens, long seed) {}

        @Override
        public void onDelta(String text, List<Integer> ids) {
            for (int id : ids) {
                boolean agrees = at == agreed && at < copy.answer().size();
                if (agrees && copy.answer().get(at) == id) {
                    agreed++;
                }
                at++;
            }
        }

        @Override
        public void onFinish(Finish finish) {
            compared.add(copy.answer().size());
            same.add(agreed);
            completed.increment();
            next();
        }

        @Override
        public void onError(LitheException error) {
            dropped.increment();
            next();
        }

        private void next() {
            busy.set(false);
            later();
        }
    }
}
