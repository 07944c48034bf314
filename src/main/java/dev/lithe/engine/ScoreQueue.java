package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.jspecify.annotations.Nullable;

/// Texts to score: one at a time, the others wait. Each step of the engine reads a few of its
/// tokens. All but [#offer] belongs to the engine's thread.
final class ScoreQueue {
    private final BlockingQueue<ScoreJob> waiting;
    private @Nullable ScoreJob current;

    ScoreQueue(int limit) {
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

    /// Reads a few tokens of the current text.
    ///
    /// @return whether there was any
    boolean step() {
        for (ScoreJob job : waiting) {
            Optional<LitheException> reason = job.withdrawn();
            if (reason.isPresent() && waiting.remove(job)) {
                end(job, reason.get());
            }
        }
        ScoreJob job = current == null ? waiting.poll() : current;
        current = job;
        if (job == null) {
            return false;
        }
        Optional<LitheException> reason = job.withdrawn();
        if (reason.isPresent()) {
            end(job, reason.get());
            current = null;
        } else if (stepped(job)) {
            current = null;
        }
        return true;
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
