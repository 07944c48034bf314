package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/// Keeps what the engine tells of one request.
class Recorder implements GenerationListener {
    final List<Integer> ids = new ArrayList<>();
    final StringBuilder text = new StringBuilder();
    final CompletableFuture<Long> started = new CompletableFuture<>();
    final CompletableFuture<Finish> finished = new CompletableFuture<>();

    @Override
    public void onStart(int promptTokens, long seed) {
        started.complete(seed);
    }

    @Override
    public void onDelta(String delta, List<Integer> newIds) {
        text.append(delta);
        ids.addAll(newIds);
    }

    @Override
    public void onFinish(Finish finish) {
        finished.complete(finish);
    }

    @Override
    public void onError(LitheException error) {
        started.completeExceptionally(error);
        finished.completeExceptionally(error);
    }

    Finish finish() {
        try {
            return finished.get(60, TimeUnit.SECONDS);
        } catch (InterruptedException | ExecutionException | TimeoutException e) {
            throw new AssertionError("no finish", e);
        }
    }

    LitheException error() {
        try {
            throw new AssertionError("finished: " + finished.get(60, TimeUnit.SECONDS));
        } catch (ExecutionException e) {
            return (LitheException) e.getCause();
        } catch (InterruptedException | TimeoutException e) {
            throw new AssertionError("no error", e);
        }
    }
}
