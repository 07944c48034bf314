package dev.lithe.serve;

import dev.lithe.engine.Ticket;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// One gRPC call: when the client goes away, or its time runs out, the computation behind it ends.
/// Made on the thread that receives the request; used from others afterwards.
final class Call<T> implements Preparation.Caller {
    private static final Ticket GONE = () -> {};

    private final ServerCallStreamObserver<T> observer;
    private final AtomicReference<@Nullable Ticket> ticket = new AtomicReference<>();
    private final CallVariant.Choice choice = CallVariant.current();
    private final IntConsumer further = AccessInterceptor.further();
    private final OptionalLong deadline;

    private Call(ServerCallStreamObserver<T> observer) {
        this.observer = observer;
        Deadline limit = Context.current().getDeadline();
        this.deadline =
                limit == null
                        ? OptionalLong.empty()
                        : OptionalLong.of(
                                System.nanoTime() + limit.timeRemaining(TimeUnit.NANOSECONDS));
        observer.setOnCancelHandler(this::cancel);
    }

    static <T> Call<T> of(StreamObserver<T> observer) {
        return new Call<>((ServerCallStreamObserver<T>) observer);
    }

    private void cancel() {
        Ticket running = ticket.getAndSet(GONE);
        if (running != null) {
            running.cancel();
        }
    }

    /// Ties the computation to the call; where the call is gone already, ends it.
    void runs(Ticket computation) {
        if (!ticket.compareAndSet(null, computation)) {
            computation.cancel();
        }
    }

    CallVariant.Choice choice() {
        return choice;
    }

    /// Counts requests that the call holds beyond its first as requests of the client.
    ///
    /// @throws RuntimeException where its token or its rate does not let it
    void admitFurther(int requests) {
        if (requests > 0) {
            further.accept(requests);
        }
    }

    /// When the client's time runs out, on the clock of [System#nanoTime].
    OptionalLong deadline() {
        return deadline;
    }

    /// Whether nobody waits for the answer: the client left, or its time ran out.
    @Override
    public boolean over() {
        return observer.isCancelled()
                || (deadline.isPresent() && System.nanoTime() - deadline.getAsLong() >= 0);
    }

    boolean ready() {
        return observer.isReady();
    }

    void onReady(Runnable action) {
        observer.setOnReadyHandler(action);
    }

    void send(T message) {
        if (!observer.isCancelled()) {
            observer.onNext(message);
        }
    }

    void complete() {
        if (!observer.isCancelled()) {
            observer.onCompleted();
        }
    }

    /// The only message, and the end.
    void answer(T message) {
        send(message);
        complete();
    }

    @Override
    public void fail(RuntimeException error) {
        StatusRuntimeException status = Statuses.of(error);
        if (!observer.isCancelled()) {
            observer.onError(status);
        }
    }
}
