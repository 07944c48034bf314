package dev.lithe.serve;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.concurrent.CompletableFuture;

/// The server's end of a call without a network.
final class RecordedCall<T> extends ServerCallStreamObserver<T> {
    private final CompletableFuture<Status> end = new CompletableFuture<>();
    private volatile boolean left;

    /// What the client does that gives up.
    void leave() {
        left = true;
    }

    boolean ended() {
        return end.isDone();
    }

    /// How the call ended.
    Status status() {
        return end.getNow(Status.UNKNOWN);
    }

    @Override
    public boolean isCancelled() {
        return left;
    }

    @Override
    public void onNext(T message) {}

    @Override
    public void onError(Throwable error) {
        end.complete(Status.fromThrowable(error));
    }

    @Override
    public void onCompleted() {
        end.complete(Status.OK);
    }

    @Override
    public boolean isReady() {
        return true;
    }

    @Override
    public void setOnCancelHandler(Runnable handler) {}

    @Override
    public void setOnReadyHandler(Runnable handler) {}

    @Override
    public void setCompression(String compression) {}

    @Override
    public void disableAutoInboundFlowControl() {}

    @Override
    public void request(int count) {}

    @Override
    public void setMessageCompression(boolean enable) {}
}
