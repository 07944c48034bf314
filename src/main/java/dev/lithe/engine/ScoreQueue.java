package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.jspecify.annotations.Nullable;

/// Texts to score: one at a time, the others wait. Each step of the engine reads a few of its
/// tokens. All but [#offer] belongs to the engine's thread.
final class ScoreQueue implements Scheduler.Work {
    private final BlockingQueue<ScoreJob> waiting;
    private final CacheMemory memory;
    private @Nullable ScoreJob current;

    /// Whether the next was refused memory.
    private boolean hungry;

    ScoreQueue(int limit, CacheMemory memory) {
        this.memory = memory;
        this.waiting = new ArrayBlockingQueue<>(limit);
    }

    /// @throws LitheException `EXHAUSTED` where too many wait
    void offer(ScoreJob job) {
        if (!waiting.offer(job)) {
            throw LitheException.of(
                    Fault.EXHAUSTED,
                    "%d texts wait to be scored, which is the limit; try again later",
                    waiting.size());
        }
    }

    boolean remove(ScoreJob job) {
        return waiting.remove(job);
    }

    boolean isEmpty() {
        return current == null && waiting.isEmpty();
    }

    /// Whether there is a text to read, and memory for it.
    @Override
    public boolean ready() {
        for (ScoreJob job : waiting) {
            Optional<LitheException> reason = job.withdrawn();
            if (reason.isPresent() && waiting.remove(job)) {
                end(job, reason.get());
            }
        }
        ScoreJob next = waiting.peek();
        hungry = false;
        if (current == null && next != null) {
            hungry = !memory.reserve(next.cacheBytes());
            current = hungry ? null : waiting.poll();
        }
        return current != null;
    }

    /// Whether a text waits for memory alone.
    boolean hungry() {
        return hungry;
    }

    /// Whether a text waits for memory that came before `nanos` on the clock of [System#nanoTime].
    boolean hungrySince(long nanos) {
        ScoreJob next = waiting.peek();
        return hungry && next != null && next.arrived() - nanos < 0;
    }

    /// Reads a few tokens of the current text.
    @Override
    public void step() {
        ScoreJob job = current;
        if (job == null) {
            return;
        }
        Optional<LitheException> reason = job.withdrawn();
        reason.ifPresent(why -> end(job, why));
        if (reason.isPresent() || stepped(job)) {
            current = null;
            memory.free(job.cacheBytes());
        }
    }

    private static boolean stepped(ScoreJob job) {
        try {
            boolean last = job.step();
            if (last) {
                job.release();
            }
            return last;
        } catch (LitheException e) {
            end(job, e);
        } catch (RuntimeException | OutOfMemoryError e) {
            end(job, LitheException.internal("the request failed: " + e, e));
        }
        return true;
    }

    private static void end(ScoreJob job, LitheException reason) {
        job.release();
        try {
            job.fail(reason);
        } catch (RuntimeException e) {
            System.getLogger(ScoreQueue.class.getName())
                    .log(System.Logger.Level.DEBUG, "a listener failed", e);
        }
    }

    void endAll(LitheException reason) {
        if (current != null) {
            end(current, reason);
            current = null;
        }
        for (ScoreJob next = waiting.poll(); next != null; next = waiting.poll()) {
            end(next, reason);
        }
    }
}
