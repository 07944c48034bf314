package dev.lithe.serve;

import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpVersion;
import io.vertx.ext.web.Router;
import io.vertx.ext.web.RoutingContext;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/// Bounds the bodies of HTTP requests that are still on their way, in bytes and in time, so that
/// connections that send a part and then wait cannot fill the heap. One that does not say its
/// length counts as the longest.
@Singleton
class Arrivals {
    /// Bytes of all bodies that are being received.
    static final long LIMIT = 8L * OpenAiHttp.MAX_BODY;

    private static final long PATIENCE_MILLIS = 30_000;

    private final AtomicLong bytes = new AtomicLong();

    void routes(@Observes Router router) {
        for (HttpMethod method : List.of(HttpMethod.POST, HttpMethod.PUT)) {
            router.route(method, "/v1/*").order(Integer.MIN_VALUE + 2).handler(this::admit);
        }
    }

    /// Lets a request go on to be read, or answers it.
    private void admit(RoutingContext context) {
        HttpServerRequest request = context.request();
        long length = length(request);
        if (bytes.addAndGet(length) > LIMIT) {
            bytes.addAndGet(-length);
            context.response().putHeader("retry-after", "1");
            HttpErrors.refuse(
                    context,
                    HttpErrors.TOO_MANY,
                    "bodies of " + LIMIT + " bytes are on their way, which is the limit; try again",
                    "overloaded");
            return;
        }
        long timer = context.vertx().setTimer(PATIENCE_MILLIS, _ -> giveUp(context));
        var arriving = new AtomicBoolean(true);
        Runnable over =
                () -> {
                    if (arriving.compareAndSet(true, false)) {
                        bytes.addAndGet(-length);
                        context.vertx().cancelTimer(timer);
                    }
                };
        request.end().onComplete(_ -> over.run());
        context.addEndHandler(_ -> over.run());
        context.next();
    }

    /// Ends a request whose body does not come, so that no more of it is kept.
    private static void giveUp(RoutingContext context) {
        if (context.request().version() == HttpVersion.HTTP_2) {
            context.response().reset(); // its connection may carry others
            return;
        }
        HttpErrors.refuse(
                context,
                408,
                "the body did not come within " + PATIENCE_MILLIS / 1000 + " s",
                "timeout");
        context.request().connection().close();
    }

    private static long length(HttpServerRequest request) {
        String given = request.getHeader(HttpHeaders.CONTENT_LENGTH);
        try {
            return given == null
                    ? OpenAiHttp.MAX_BODY
                    : Math.clamp(Long.parseLong(given), 0, OpenAiHttp.MAX_BODY);
        } catch (NumberFormatException _) {
            return OpenAiHttp.MAX_BODY;
        }
    }
}
