package dev.lithe.serve;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import jakarta.annotation.PreDestroy;
import jakarta.inject.Singleton;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/// Threads for what a request needs before the engine takes it, tokenizing above all: long texts
/// take too long for the network's threads, and the engine's has better to do. Bounded, so that a
/// flood is refused rather than kept.
@Singleton
class Preparation {
    private static final int THREADS = 2;
    private static final int WAITING = 256;

    private final ThreadPoolExecutor executor =
            new ThreadPoolExecutor(
                    THREADS,
                    THREADS,
                    10,
                    TimeUnit.SECONDS,
                    new ArrayBlockingQueue<>(WAITING),
                    Thread.ofPlatform().daemon().name("lithe-prepare-", 0).factory());

    /// Runs `work` soon; what it throws, and a refusal, end the call.
    void run(Call<?> call, Runnable work) {
        try {
            executor.execute(() -> {
                try {
                    work.run();
                } catch (RuntimeException e) {
                    call.fail(e);
                }
            });
        } catch (RejectedExecutionException e) {
            call.fail(
                    LitheException.of(
                                    Fault.EXHAUSTED,
                                    "%d requests wait to be read, which is the limit; try later",
                                    WAITING)
                            .causedBy(e));
        }
    }

    @PreDestroy
    void stop() {
        executor.shutdownNow();
    }
}
