package dev.lithe.serve;

import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/// A client of one stream that can leave in the middle.
final class StreamClient
        implements ClientResponseObserver<GenerateStreamRequest, GenerateStreamResponse>,
                AutoCloseable {
    private final AtomicInteger deltas = new AtomicInteger();
    private final CompletableFuture<StatusRuntimeException> end = new CompletableFuture<>();
    private final AtomicReference<ClientCallStreamObserver<GenerateStreamRequest>> call =
            new AtomicReference<>();

    static StreamClient start(TestServer server, GenerateStreamRequest request) {
        var client = new StreamClient();
        server.async().generateStream(request, client);
        return client;
    }

    void awaitDeltas(int count) {
        Eventually.holds(count + " deltas", () -> deltas.get() >= count);
    }

    void cancel() {
        call.get().cancel("the test leaves", null);
    }

    StatusRuntimeException awaitEnd() {
        try {
            return end.get(30, TimeUnit.SECONDS);
        } catch (InterruptedException | ExecutionException | TimeoutException e) {
            throw new AssertionError("the stream did not fail", e);
        }
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<GenerateStreamRequest> stream) {
        call.set(stream);
    }

    @Override
    public void onNext(GenerateStreamResponse event) {
        if (event.hasDelta()) {
            deltas.incrementAndGet();
        }
    }

    @Override
    public void onError(Throwable error) {
        end.complete((StatusRuntimeException) error);
    }

    @Override
    public void onCompleted() {
        end.completeExceptionally(new IllegalStateException("completed"));
    }

    @Override
    public void close() {
        cancel();
    }
}
