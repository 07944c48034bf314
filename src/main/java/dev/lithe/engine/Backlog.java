package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.time.Duration;

/// How long the queue is in time: from the measured length of recent requests. A request whose
/// deadline passes before its turn comes is refused at once, so that its client can go elsewhere.
final class Backlog {
    /// Share of the newest request in the mean.
    private static final double NEWEST = 0.1;

    /// Requests differ, and most of a mean is not known: only a wait that is this far beyond the
    /// deadline is sure enough.
    private static final double CERTAINTY = 2;

    /// What a client is told to wait is between these.
    private static final double SHORTEST_NANOS = 1e8;

    private static final double LONGEST_NANOS = 6e10;

    private final int running;
    private volatile double meanNanos;

    /// @param running requests that are served at once
    Backlog(int running) {
        this.running = running;
    }

    /// A request was served in so long. Called by the engine's thread.
    void served(long nanos) {
        double mean = meanNanos;
        meanNanos = mean == 0 ? nanos : mean + NEWEST * (nanos - mean);
    }

    /// When a queue of so many is likely to have been served; a second where nothing is known yet.
    Duration served(int waiting) {
        double nanos = meanNanos == 0 ? 1e9 : waiting * meanNanos / running;
        return Duration.ofNanos((long) Math.clamp(nanos, SHORTEST_NANOS, LONGEST_NANOS));
    }

    /// Refuses a request for which the queue is too long.
    ///
    /// @param waiting requests before it that have not started
    /// @throws LitheException `DEADLINE` where the deadline has passed, `EXHAUSTED` where it will
    ///   have
    void check(GenerationRequest request, int waiting) {
        if (request.deadline().isEmpty()) {
            return;
        }
        double left = request.deadline().getAsLong() - System.nanoTime();
        if (left <= 0) {
            throw LitheException.of(
                    Fault.DEADLINE,
                    "the deadline passed before the request arrived; allow more time");
        }
        double wait = waiting * meanNanos / running;
        if (wait > CERTAINTY * left) {
            throw LitheException.of(
                            Fault.EXHAUSTED,
                            "%d requests wait, which takes about %.0f ms, and the deadline is in %.0f ms; try"
                                    + " again later or allow more time",
                            waiting,
                            wait / 1e6,
                            left / 1e6)
                    .retryAfter(served(waiting));
        }
    }
}
