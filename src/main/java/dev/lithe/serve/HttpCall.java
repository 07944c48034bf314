package dev.lithe.serve;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.engine.Ticket;
import dev.lithe.fault.LitheException;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.RoutingContext;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// One HTTP request: when its connection goes away, the computation behind it ends. Made on the
/// network's thread; used from others afterwards, by one at a time.
final class HttpCall implements Preparation.Caller {
    private static final Ticket GONE = () -> {};

    private final RoutingContext context;
    private final HttpServerResponse response;
    private final AtomicReference<@Nullable Ticket> ticket = new AtomicReference<>();
    private final AtomicBoolean begun = new AtomicBoolean();
    private final CallVariant.Choice choice;
    private final IntConsumer further;

    /// @param wake what to do when the connection takes more again
    HttpCall(RoutingContext context, Runnable wake) {
        this.context = context;
        this.response = context.response();
        this.choice =
                new CallVariant.Choice(
                        context.request().getHeader("x-variant"),
                        context.request().getHeader("x-ab-key"),
                        CallRecords.of(context));
        this.further = AccessHttp.further(context);
        context.addEndHandler(end -> {
            if (end.failed()) {
                cancel();
            }
        });
        response.drainHandler(_ -> wake.run());
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

    /// Counts requests that the call holds beyond its first as requests of the client.
    ///
    /// @throws LitheException where its rate does not let it
    void admitFurther(int requests) {
        if (requests > 0) {
            further.accept(requests);
        }
    }

    CallVariant.Choice choice() {
        return choice;
    }

    @Override
    public boolean over() {
        return ticket.get() == GONE;
    }

    /// Whether the connection takes more.
    boolean ready() {
        return !response.writeQueueFull();
    }

    /// The only answer.
    void answer(JsonNode json) {
        if (begun.compareAndSet(false, true)) {
            end(200, json);
        }
    }

    /// The only answer, of another type.
    void answer(String type, String body) {
        if (begun.compareAndSet(false, true)) {
            end(200, type, body);
        }
    }

    private void end(int status, JsonNode json) {
        end(status, "application/json", json.toString());
    }

    private void end(int status, String type, String body) {
        if (!response.ended() && !response.closed()) {
            nameVariant();
            response.setStatusCode(status).putHeader("content-type", type).end(Buffer.buffer(body));
        }
    }

    private void nameVariant() {
        if (!choice.chosen().isEmpty()) {
            response.putHeader("x-variant", choice.chosen());
        }
    }

    /// Sends one server-sent event.
    void event(String data) {
        if (response.ended() || response.closed()) {
            return;
        }
        if (begun.compareAndSet(false, true)) {
            nameVariant();
            response.setChunked(true)
                    .putHeader("content-type", "text/event-stream; charset=utf-8")
                    .putHeader("cache-control", "no-cache");
        }
        response.write("data: " + data + "\n\n");
    }

    /// Ends the stream of events.
    void done() {
        event("[DONE]");
        if (!response.ended() && !response.closed()) {
            response.end();
        }
    }

    /// An error in OpenAI's form: the answer, or an event where a stream has begun.
    @Override
    public void fail(RuntimeException error) {
        HttpErrors.Failure failure = HttpErrors.of(error);
        ObjectNode json = failure.json(context.normalizedPath().endsWith("/chat/completions"));
        if (begun.get()) {
            event(json.toString());
            done();
            return;
        }
        if (failure.status() == HttpErrors.TOO_MANY) {
            response.putHeader("retry-after", Long.toString(failure.retrySeconds()));
        }
        begun.set(true);
        end(failure.status(), json);
    }
}
