package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/// Runs all requests on one thread, which owns libtorch. Waiting requests are in a bounded queue; a
/// few run, and each gets one token in turn. Cancellation and deadlines are looked at before each
/// token, so both free their place within one. A request that breaks ends alone.
public final class Engine implements AutoCloseable {
    private static final long DOZE_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    private final EngineLimits limits;
    private final BlockingQueue<Sequence> waiting;
    private final ScoreQueue scores;
    private final List<Sequence> running = new ArrayList<>();
    private final SplittableRandom seeds = new SplittableRandom();
    private final CompletableFuture<Void> stopped = new CompletableFuture<>();
    private final Thread thread;
    private volatile boolean closed;
    private volatile int runningCount;
    private final AtomicLong steps = new AtomicLong();

    public Engine(EngineLimits limits) {
        this.limits = limits;
        this.waiting = new ArrayBlockingQueue<>(limits.queue());
        this.scores = new ScoreQueue(limits.queue());
        this.thread = Thread.ofPlatform().name("lithe-engine").daemon().start(this::run);
    }

    /// Queues a request; returns at once.
    ///
    /// @throws LitheException `EXHAUSTED` where the queue is full, `UNAVAILABLE` once closed
    public Ticket submit(GenerationRequest request, GenerationListener listener) {
        long seed = request.sampling().seed().orElseGet(this::newSeed);
        if (request.cacheBytes() > limits.cacheBytes()) {
            throw LitheException.badField(
                    "max_new_tokens",
                    "the request needs %d MB for keys and values, the limit is %d MB; ask for less",
                    request.cacheBytes() >> 20,
                    limits.cacheBytes() >> 20);
        }
        var sequence = new Sequence(request, listener, seed, limits.stall().toNanos());
        if (closed) {
            throw shuttingDown();
        }
        if (!waiting.offer(sequence)) {
            throw LitheException.of(
                    Fault.EXHAUSTED,
                    "%d requests wait already, which is the limit; try again later",
                    limits.queue());
        }
        wake();
        // A close between the check and the offer may have missed it.
        if (closed && waiting.remove(sequence)) {
            throw shuttingDown();
        }
        return () -> {
            sequence.cancel();
            wake();
        };
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
        var job = new ScoreJob(request, listener);
        if (closed) {
            throw shuttingDown();
        }
        scores.offer(job);
        wake();
        // As above.
        if (closed && scores.remove(job)) {
            throw shuttingDown();
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
        return steps.get();
    }

    /// Requests that are being computed.
    public int running() {
        return runningCount;
    }

    /// Requests that wait.
    public int waiting() {
        return waiting.size();
    }

    /// Completes when it takes no more requests, because it was closed or because it broke.
    public CompletionStage<Void> stopped() {
        return stopped;
    }

    private void run() {
        LitheException end = shuttingDown();
        try {
            while (!closed) {
                dropWithdrawn();
                admit();
                if (!(stepAll() | scores.step())) {
                    doze();
                }
            }
        } catch (RuntimeException | Error e) {
            end = LitheException.internal("the engine stopped: " + e + "; restart the server", e);
        } finally {
            closed = true;
            endAll(end);
            stopped.complete(null);
        }
    }

    private void dropWithdrawn() {
        for (Sequence sequence : waiting) {
            Optional<LitheException> reason = sequence.withdrawn();
            if (reason.isPresent() && waiting.remove(sequence)) {
                end(sequence, reason.get());
            }
        }
        for (Iterator<Sequence> each = running.iterator(); each.hasNext(); ) {
            Sequence sequence = each.next();
            sequence.withdrawn()
                    .ifPresent(reason -> {
                        each.remove();
                        end(sequence, reason);
                    });
        }
    }

    private void admit() {
        while (running.size() < limits.running()) {
            Sequence next = waiting.peek();
            if (next == null || cacheBytes() + next.cacheBytes() > limits.cacheBytes()) {
                break;
            }
            if (!waiting.remove(next)) {
                continue;
            }
            if (guarded(
                    next,
                    () -> {
                        next.start();
                        return false;
                    })) {
                continue;
            }
            running.add(next);
        }
        runningCount = running.size();
    }

    private long cacheBytes() {
        return running.stream().mapToLong(Sequence::cacheBytes).sum();
    }

    /// One token for each running sequence that can take it.
    ///
    /// @return whether any could
    private boolean stepAll() {
        boolean progress = false;
        for (Iterator<Sequence> each = running.iterator(); each.hasNext(); ) {
            Sequence sequence = each.next();
            Optional<LitheException> reason = sequence.withdrawn();
            if (reason.isPresent()) {
                each.remove();
                end(sequence, reason.get());
            } else if (sequence.ready()) {
                progress = true;
                steps.incrementAndGet();
                if (guarded(sequence, sequence::step)) {
                    each.remove();
                }
            }
        }
        runningCount = running.size();
        return progress;
    }

    @FunctionalInterface
    private interface Work {
        boolean isLast();
    }

    /// Runs one piece of a sequence's work, and ends the sequence if that was the last or fails.
    ///
    /// @return whether the sequence is over
    private static boolean guarded(Sequence sequence, Work work) {
        try {
            if (work.isLast()) {
                sequence.release();
                return true;
            }
            return false;
        } catch (LitheException e) {
            end(sequence, e);
        } catch (RuntimeException | OutOfMemoryError e) {
            end(sequence, LitheException.internal("the request failed: " + e, e));
        }
        return true;
    }

    private static void end(Sequence sequence, LitheException reason) {
        sequence.release();
        try {
            sequence.fail(reason);
        } catch (RuntimeException e) {
            // A listener that breaks while it hears of its end has nobody left to tell.
            System.getLogger(Engine.class.getName())
                    .log(System.Logger.Level.DEBUG, "a listener failed", e);
        }
    }

    private void doze() {
        if (running.isEmpty() && waiting.isEmpty() && scores.isEmpty()) {
            LockSupport.park(this);
        } else {
            // Deadlines and stalled readers are looked at now and then.
            LockSupport.parkNanos(this, DOZE_NANOS);
        }
    }

    private void endAll(LitheException reason) {
        scores.endAll(reason);
        running.forEach(sequence -> end(sequence, reason));
        running.clear();
        runningCount = 0;
        for (Sequence next = waiting.poll(); next != null; next = waiting.poll()) {
            end(next, reason);
        }
    }

    private static LitheException shuttingDown() {
        return LitheException.of(
                Fault.UNAVAILABLE, "the server is shutting down; ask another or try again later");
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
