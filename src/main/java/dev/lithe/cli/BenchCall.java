package dev.lithe.cli;

import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceStub;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.stream.DoubleStream;

/// One streamed generation against the clock. The clock is read on the thread that the message
/// arrives on.
final class BenchCall implements StreamObserver<GenerateStreamResponse> {
    private static final double NANOS_PER_MILLI = 1e6;

    private final CompletableFuture<RequestTimes> done = new CompletableFuture<>();
    private final DoubleStream.Builder gaps = DoubleStream.builder();
    private final long due;
    private final long sent = System.nanoTime();
    private long first;
    private long last;
    private int tokens;

    private BenchCall(long due) {
        this.due = due;
    }

    /// Sends the request.
    ///
    /// @param stub whose callbacks run on the network's thread
    /// @param due on the clock of [System#nanoTime]
    /// @return what it took; never fails
    static CompletableFuture<RequestTimes> start(
            GenerationServiceStub stub, GenerateStreamRequest request, long due) {
        var call = new BenchCall(due);
        stub.generateStream(request, call);
        return call.done;
    }

    @Override
    public void onNext(GenerateStreamResponse event) {
        int came = event.getDelta().getTokenIdsCount();
        if (came == 0) {
            return;
        }
        long now = System.nanoTime();
        if (tokens == 0) {
            first = now;
        } else {
            gaps.add((now - last) / NANOS_PER_MILLI);
        }
        last = now;
        tokens += came;
    }

    @Override
    public void onCompleted() {
        finish(Status.Code.OK, "");
    }

    @Override
    public void onError(Throwable error) {
        Status status = Status.fromThrowable(error);
        String reason = Objects.toString(status.getDescription(), "no reason given");
        finish(status.getCode(), reason.lines().findFirst().orElse(""));
    }

    private void finish(Status.Code status, String reason) {
        done.complete(
                new RequestTimes(
                        status,
                        reason,
                        sinceDue(sent),
                        sinceDue(first),
                        sinceDue(last),
                        gaps.build().toArray(),
                        tokens));
    }

    private double sinceDue(long time) {
        return (time - due) / NANOS_PER_MILLI;
    }
}
