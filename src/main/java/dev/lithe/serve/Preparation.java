package dev.lithe.serve;

import com.google.protobuf.MessageLite;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import jakarta.inject.Singleton;
import java.time.Duration;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/// Threads for what a request needs before the engine takes it, tokenizing above all: long texts
/// take too long for the network's threads, and the engine's has better to do. Bounded in requests
/// and in bytes, so that a flood is refused rather than kept; a call that its client gave up is
/// dropped when its turn comes.
@Singleton
class Preparation {
    private static final int THREADS = 2;
    private static final int WAITING = 256;

    /// Two of the longest messages that the server takes. Texts of this size keep the threads busy
    /// for a few seconds, and whoever comes after them waits as long.
    static final long WAITING_BYTES = 8L << 20;

    /// What a client is told to wait is between these.
    private static final double SHORTEST_NANOS = 1e8;

    private static final double LONGEST_NANOS = 6e10;

    private final AtomicLong waitingBytes = new AtomicLong();
    private final LongAdder readBytes = new LongAdder();
    private final LongAdder readNanos = new LongAdder();
    private final ThreadPoolExecutor executor =
            new ThreadPoolExecutor(
                    THREADS,
                    THREADS,
                    10,
                    TimeUnit.SECONDS,
                    new ArrayBlockingQueue<>(WAITING),
                    Thread.ofPlatform().daemon().name("lithe-prepare-", 0).factory());

    /// Somebody who waits for an answer.
    interface Caller {
        /// Whether nobody does any more.
        boolean over();

        void fail(RuntimeException error);
    }

    /// Runs `work` soon, for a request that is a message.
    void run(Caller call, MessageLite request, Runnable work) {
        run(call, request.getSerializedSize(), work);
    }

    /// Runs `work` soon; what it throws, and a refusal, end the call. A call that is over by then
    /// costs nothing more.
    void run(Caller call, long bytes, Runnable work) {
        if (waitingBytes.addAndGet(bytes) > WAITING_BYTES) {
            waitingBytes.addAndGet(-bytes);
            call.fail(
                    LitheException.of(
                                    Fault.EXHAUSTED,
                                    "this request of %d bytes and those that wait to be read exceed the"
                                            + " limit of %d bytes; try again later",
                                    bytes,
                                    WAITING_BYTES)
                            .retryAfter(allRead()));
            return;
        }
        try {
            executor.execute(() -> {
                long start = System.nanoTime();
                try {
                    prepare(call, work);
                } finally {
                    readNanos.add(System.nanoTime() - start);
                    readBytes.add(bytes);
                    waitingBytes.addAndGet(-bytes);
                }
            });
        } catch (RejectedExecutionException e) {
            waitingBytes.addAndGet(-bytes);
            call.fail(refusal().causedBy(e));
        }
    }

    private static void prepare(Caller call, Runnable work) {
        try {
            if (!call.over()) {
                work.run();
            }
        } catch (RuntimeException e) {
            call.fail(e);
        } catch (OutOfMemoryError e) {
            call.fail(LitheException.internal("the request failed: " + e, e));
        }
    }

    private LitheException refusal() {
        return executor.isShutdown()
                ? LitheException.of(
                        Fault.UNAVAILABLE, "the server is shutting down; try again later")
                : LitheException.of(
                                Fault.EXHAUSTED,
                                "%d requests wait to be read, which is the limit; try again later",
                                WAITING)
                        .retryAfter(allRead());
    }

    /// When what waits is likely to have been read, by what a byte took so far; a second where
    /// nothing is known yet.
    private Duration allRead() {
        long bytes = readBytes.sum();
        double each = bytes == 0 ? 0 : (double) readNanos.sum() / bytes;
        double nanos = bytes == 0 ? 1e9 : waitingBytes.get() * each / THREADS;
        return Duration.ofNanos((long) Math.clamp(nanos, SHORTEST_NANOS, LONGEST_NANOS));
    }

    /// Takes no more work and waits for what is under way; what waits still gets its turn.
    ///
    /// @return whether all of it ended; if not, tokenizers are in use
    boolean stop(Duration limit) {
        executor.shutdown();
        try {
            return executor.awaitTermination(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }
}
