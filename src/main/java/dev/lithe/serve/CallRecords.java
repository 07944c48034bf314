package dev.lithe.serve;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.quarkus.grpc.GlobalInterceptor;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import jakarta.enterprise.event.Observes;
import jakarta.enterprise.inject.spi.Prioritized;
import jakarta.inject.Singleton;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/// Follows every call from its first byte to its end, over gRPC and HTTP: gives it an id, which the
/// answer's headers name under `x-request-id`, and tells the log and the traces how it ended.
@Singleton
@GlobalInterceptor
class CallRecords implements ServerInterceptor, Prioritized {
    private static final Metadata.Key<String> ID =
            Metadata.Key.of(CallRecord.REQUEST_ID, Metadata.ASCII_STRING_MARSHALLER);
    private static final List<String> TRACE = List.of("traceparent", "tracestate");
    private static final Context.Key<CallRecord> CURRENT = Context.key("lithe-record");
    private static final long LOOK_NANOS = 1_000_000;
    private static final String HTTP_KEY = "lithe-record";

    private final RequestLog log;
    private final Traces traces;

    /// HTTP requests that are not answered to the end.
    private final AtomicInteger openHttp = new AtomicInteger();

    CallRecords(RequestLog log, Traces traces) {
        this.log = log;
        this.traces = traces;
    }

    /// Comes before the others, so that it sees what they refuse.
    @Override
    public int getPriority() {
        return 100;
    }

    /// The record of the gRPC call that this thread handles.
    static CallRecord current() {
        CallRecord record = CURRENT.get();
        return record == null ? CallRecord.untold() : record;
    }

    /// The record of an HTTP request.
    static CallRecord of(RoutingContext context) {
        CallRecord record = context.get(HTTP_KEY);
        return record == null ? CallRecord.untold() : record;
    }

    private CallRecord begin(String method, UnaryOperator<@Nullable String> header) {
        Map<String, String> trace = new HashMap<>();
        for (String name : TRACE) {
            String value = header.apply(name);
            if (value != null) {
                trace.put(name, value);
            }
        }
        return new CallRecord(header.apply(CallRecord.REQUEST_ID), method, trace, this::told);
    }

    private void told(CallRecord record) {
        log.write(record);
        traces.write(record);
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        String method = call.getMethodDescriptor().getFullMethodName();
        if (!method.startsWith("lithe.") && !method.startsWith("inference.")) {
            return next.startCall(call, headers); // probes and reflection
        }
        CallRecord record =
                begin(
                        method,
                        name ->
                                headers.get(
                                        Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER)));
        var followed =
                new SimpleForwardingServerCall<Q, A>(call) {
                    private boolean named;

                    @Override
                    public void sendHeaders(Metadata answer) {
                        named = true;
                        answer.put(ID, record.id());
                        super.sendHeaders(answer);
                    }

                    @Override
                    public void close(Status status, Metadata trailers) {
                        if (!named) {
                            trailers.put(ID, record.id());
                        }
                        super.close(status, trailers);
                        record.ended(status.getCode().name());
                    }
                };
        Context context = Context.current().withValue(CURRENT, record);
        return new SimpleForwardingServerCallListener<>(
                Contexts.interceptCall(context, followed, headers, next)) {
            @Override
            public void onCancel() {
                super.onCancel();
                record.ended(Status.Code.CANCELLED.name());
            }
        };
    }

    void routes(@Observes Router router) {
        router.route("/v1/*").order(Integer.MIN_VALUE).handler(this::follow);
    }

    private void follow(RoutingContext context) {
        CallRecord record =
                begin(context.normalizedPath(), name -> context.request().getHeader(name));
        context.put(HTTP_KEY, record);
        context.response().putHeader(CallRecord.REQUEST_ID, record.id());
        openHttp.incrementAndGet();
        context.addEndHandler(end -> {
            openHttp.decrementAndGet();
            record.ended(
                    end.succeeded()
                            ? Integer.toString(context.response().getStatusCode())
                            : Status.Code.CANCELLED.name());
        });
        context.next();
    }

    /// Waits until the answers to all HTTP requests have gone out.
    void awaitHttp(Duration limit) {
        long end = System.nanoTime() + limit.toNanos();
        while (openHttp.get() > 0 && System.nanoTime() - end < 0) {
            LockSupport.parkNanos(LOOK_NANOS);
        }
    }
}
