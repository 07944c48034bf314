package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/// Runs all requests on one thread, which owns libtorch. Waiting requests are in a bounded queue;
/// those of one model that run take one token per step together, and prompts are read in between
/// ([Lane]); models share the time by weight ([Scheduler]). Cancellation and deadlines are looked
/// at before each step, so both free their place within one. A request that breaks ends alone.
public final class Engine implements AutoCloseable {
    private static final long DOZE_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    private final EngineLimits limits;
    private final Admission admission;
    private final ScoreQueue scores;
    private final Scheduler<Scheduler.Work> scheduler = new Scheduler<>(System::nanoTime);
    private final Map<Decoder, Lane> lanes = new LinkedHashMap<>();
    private final Map<Decoder, Double> weights = new ConcurrentHashMap<>();
    private final Map<Decoder, Lane.Drafting> drafting = new ConcurrentHashMap<>();
    private final CacheMemory memory;
    private final SplittableRandom seeds = new SplittableRandom();
    private final CompletableFuture<Void> stopped = new CompletableFuture<>();
    private final Thread thread;
    private final AtomicLong tokens = new AtomicLong();
    private final Backlog backlog;
    private volatile boolean draining;
    private volatile boolean closed;
    private volatile boolean broken;
    private volatile int runningCount;

    public Engine(EngineLimits limits) {
        this.limits = limits;
        this.backlog = new Backlog(limits.running());
        this.memory = new CacheMemory(limits);
        this.scores = new ScoreQueue(limits.queue(), memory);
        this.admission = new Admission(limits, memory, scores, this::lane, lanes.values());
        scheduler.add(scores, scores);
        this.thread = Thread.ofPlatform().name("lithe-engine").daemon().start(this::run);
    }

    /// Queues a request; returns at once.
    ///
    /// @throws LitheException `EXHAUSTED` where the queue is full or too long for the deadline,
    ///   `UNAVAILABLE` once closed or draining
    public Ticket submit(GenerationRequest request, GenerationListener listener) {
        Sequence sequence = sequence(request, listener, false);
        backlog.check(request, admission.size());
        if (!admission.offer(sequence)) {
            throw LitheException.of(
                            Fault.EXHAUSTED,
                            "%d requests wait already, which is the limit; try again later",
                            limits.queue())
                    .retryAfter(backlog.served(limits.queue()));
        }
        return submitted(sequence);
    }

    /// Queues a request that nobody waits for; returns at once. It is begun when none waits that
    /// somebody does wait for, and ends with `EXHAUSTED` as soon as such a one needs its place or
    /// its memory.
    ///
    /// @throws LitheException `EXHAUSTED` where another waits already, `UNAVAILABLE` once closed or
    ///   draining
    public Ticket submitInBackground(GenerationRequest request, GenerationListener listener) {
        Sequence sequence = sequence(request, listener, true);
        if (!admission.offer(sequence)) {
            throw LitheException.of(
                    Fault.EXHAUSTED, "one request waits for the background already; try later");
        }
        return submitted(sequence);
    }

    private Sequence sequence(
            GenerationRequest request, GenerationListener listener, boolean inBackground) {
        long seed = request.sampling().seed().orElseGet(this::newSeed);
        if (request.cacheBytes() > limits.cacheBytes()) {
            throw LitheException.badField(
                    "max_new_tokens",
                    "the request needs %d MB for keys and values, the limit is %d MB; ask for less",
                    request.cacheBytes() >> 20,
                    limits.cacheBytes() >> 20);
        }
        requireOpen();
        return new Sequence(request, listener, seed, limits.stall().toNanos(), inBackground);
    }

    private Ticket submitted(Sequence sequence) {
        wake();
        // A close between the check and the offer may have missed it.
        if (closed && admission.remove(sequence)) {
            throw ended();
        }
        return () -> {
            sequence.cancel();
            wake();
        };
    }

    private void requireOpen() {
        if (draining || closed) {
            throw ended();
        }
    }

    /// Queues a text to score; returns at once.
    ///
    /// @throws LitheException `EXHAUSTED` where the queue is full, `UNAVAILABLE` once closed
    public Ticket score(ScoreRequest request, ScoreListener listener) {
        if (request.cacheBytes() > limits.cacheBytes()) {
            throw LitheException.badField(
                    "continuation",
                    "the request needs %d MB for keys and values, the limit is %d MB; shorten it",
                    request.cacheBytes() >> 20,
                    limits.cacheBytes() >> 20);
        }
        requireOpen();
        var job = new ScoreJob(request, listener);
        try {
            scores.offer(job);
        } catch (LitheException e) {
            throw e.retryAfter(backlog.served(limits.queue()));
        }
        wake();
        // As above.
        if (closed && scores.remove(job)) {
            throw ended();
        }
        return () -> {
            job.cancel();
            wake();
        };
    }

    private synchronized long newSeed() {
        return seeds.nextLong() >>> 1;
    }

    /// Tells the engine that something changed, such as a listener that can take more.
    public void wake() {
        LockSupport.unpark(thread);
    }

    /// What it takes on at once.
    public EngineLimits limits() {
        return limits;
    }

    /// Tokens computed since the start, over all requests.
    public long steps() {
        return tokens.get();
    }

    /// Requests that are being computed.
    public int running() {
        return runningCount;
    }

    /// Requests that wait.
    public int waiting() {
        return admission.size();
    }

    /// Bytes that key-value caches hold, those kept of ended sequences included.
    public long cacheBytes() {
        return memory.used();
    }

    /// Completes when it takes no more requests, because it was closed or because it broke.
    public CompletionStage<Void> stopped() {
        return stopped;
    }

    private void run() {
        LitheException end = ended();
        try {
            while (!closed && !(draining && idle())) {
                admission.dropWithdrawn();
                lanes.values().forEach(Lane::dropWithdrawn);
                if (draining) {
                    admission.endBackground(ended());
                }
                admission.admit();
                count();
                weights.forEach(scheduler::weigh);
                if (!scheduler.step()) {
                    doze();
                }
                count();
            }
        } catch (RuntimeException | Error e) {
            broken = true;
            end = LitheException.internal("the engine stopped: " + e + "; restart the server", e);
        } finally {
            closed = true;
            endAll(end);
            stopped.complete(null);
        }
    }

    private Lane lane(ServedModel model) {
        Lane known = lanes.get(model.decoder());
        if (known != null) {
            return known;
        }
        var lane = new Lane(model, limits, memory, backlog, tokens, drafting.get(model.decoder()));
        lanes.put(model.decoder(), lane);
        scheduler.add(model.decoder(), lane);
        return lane;
    }

    private void count() {
        runningCount = lanes.values().stream().mapToInt(lane -> lane.running().size()).sum();
    }

    private boolean idle() {
        return runningCount == 0 && admission.isEmpty() && scores.isEmpty();
    }

    private void doze() {
        if (idle()) {
            LockSupport.park(this);
        } else {
            // Deadlines and stalled readers are looked at now and then.
            LockSupport.parkNanos(this, DOZE_NANOS);
        }
    }

    private void endAll(LitheException reason) {
        scores.endAll(reason);
        lanes.values().forEach(lane -> lane.endAll(reason));
        memory.close();
        runningCount = 0;
        admission.endAll(reason);
    }

    /// Why it takes no more.
    private LitheException ended() {
        return broken
                ? LitheException.of(
                        Fault.UNAVAILABLE, "the engine stopped after an error; restart the server")
                : LitheException.of(
                        Fault.UNAVAILABLE,
                        "the server is shutting down; ask another or try again later");
    }

    /// Gives a model another share of the time that models with work compete for; all start with 1.
    ///
    /// @param weight above 0
    public void weigh(ServedModel model, double weight) {
        if (!(weight > 0) || Double.isInfinite(weight)) {
            throw LitheException.badInput("a weight of %s; use a number above 0", weight);
        }
        weights.put(model.decoder(), weight);
    }

    /// Lets another model guess for one, whose answers stay what they are. To be called before the
    /// first request for it.
    public void speculate(Speculation speculation) {
        speculate(speculation, new DraftLength(speculation.most(), System::nanoTime));
    }

    void speculate(Speculation speculation, DraftLength length) {
        drafting.put(
                speculation.target().decoder(), new Lane.Drafting(speculation.draft(), length));
    }

    /// What guessing for a model has brought; empty where nobody does.
    public Optional<SpeculationCounts> speculation(ServedModel target) {
        return Optional.ofNullable(drafting.get(target.decoder()))
                .map(each -> each.length().counts());
    }

    /// Takes no more requests and lets those that it has finish; what is not done within `limit`
    /// ends with `UNAVAILABLE`.
    ///
    /// @return whether all finished
    public boolean drain(Duration limit) {
        draining = true;
        wake();
        boolean done = true;
        try {
            stopped.get(Math.max(0, limit.toNanos()), TimeUnit.NANOSECONDS);
        } catch (TimeoutException | ExecutionException _) {
            done = false;
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
            done = false;
        }
        close();
        return done;
    }

    /// Ends all requests with `UNAVAILABLE` and waits for the thread.
    @Override
    public void close() {
        closed = true;
        wake();
        boolean interrupted = false;
        while (thread.isAlive() && Thread.currentThread() != thread) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
