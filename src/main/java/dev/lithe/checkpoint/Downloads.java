package dev.lithe.checkpoint;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/// Downloads that run a few at a time. The first that fails ends the others, which keep what they
/// have.
final class Downloads {
    /// As many connections as one user may well open to one hub.
    static final int AT_ONCE = 4;

    private final LongConsumer progress;
    private final List<Consumer<LongConsumer>> waiting = new ArrayList<>();

    /// @param progress hears from one download at a time
    Downloads(LongConsumer progress) {
        this.progress = progress;
    }

    /// Adds one, which tells the consumer that it gets how many more bytes have come.
    void add(Consumer<LongConsumer> download) {
        waiting.add(download);
    }

    /// Runs them all.
    ///
    /// @throws LitheException what the first that failed threw
    void finish() {
        try (ExecutorService threads =
                Executors.newFixedThreadPool(
                        AT_ONCE, Thread.ofPlatform().name("download-", 0).factory())) {
            var ends = new ExecutorCompletionService<Boolean>(threads);
            waiting.forEach(download -> ends.submit(() -> download.accept(this::tell), true));
            try {
                for (int i = 0; i < waiting.size(); i++) {
                    ends.take().get();
                }
            } catch (ExecutionException e) {
                threads.shutdownNow();
                throw e.getCause() instanceof LitheException known
                        ? known
                        : LitheException.internal("a download broke off", e);
            } catch (InterruptedException e) {
                threads.shutdownNow();
                Thread.currentThread().interrupt();
                throw LitheException.of(Fault.CANCELLED, "the download was interrupted")
                        .causedBy(e);
            }
        }
    }

    private synchronized void tell(long bytes) {
        progress.accept(bytes);
    }
}
