package dev.lithe.checkpoint;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// Asks the hub over HTTP. Follows redirects, tells the token to the hub alone, and waits and tries
/// again where the hub is busy, or the connection breaks or stands still.
final class HubClient implements AutoCloseable {
    private static final int TRIES = 5;
    private static final int REDIRECTS = 8;
    private static final Duration LONGEST_WAIT = Duration.ofMinutes(5);
    private static final int OK = 200;
    private static final int PARTIAL = 206;
    private static final int UNAUTHORIZED = 401;
    private static final int FORBIDDEN = 403;
    private static final int NOT_FOUND = 404;
    private static final int TOO_MANY = 429;
    private static final int SERVER = 500;

    private final HttpClient http =
            HttpClient.newBuilder()
                    .followRedirects(HttpClient.Redirect.NEVER)
                    .connectTimeout(Duration.ofSeconds(20))
                    .build();
    private final URI endpoint;
    private final @Nullable String token;
    private final Duration pause;
    private final Duration patience;

    /// @param token null for none
    /// @param pause before the second try; it doubles from try to try
    /// @param patience the longest wait for an answer, and for more of it
    HubClient(URI endpoint, @Nullable String token, Duration pause, Duration patience) {
        this.endpoint = endpoint;
        this.token = token;
        this.pause = pause;
        this.patience = patience;
    }

    /// Takes what the hub sends, from byte `from` on; an [IOException] of it means that the
    /// connection broke.
    @FunctionalInterface
    interface Reader {
        void read(InputStream in, long from) throws IOException;
    }

    /// Where a [Reader] has got to.
    @FunctionalInterface
    interface Position {
        long get() throws IOException;
    }

    /// Gets `path` of the hub, as often as it takes; a try goes on from the byte at `position`.
    ///
    /// @param what names it in errors
    void get(String path, String what, Position position, Reader reader) {
        for (int attempt = 1; ; attempt++) {
            Duration wait = pause.multipliedBy(1L << attempt - 1);
            String trouble;
            try {
                HttpResponse<InputStream> response = send(path, position.get());
                try (InputStream in = new PatientStream(response.body(), patience)) {
                    int status = response.statusCode();
                    if (status == OK || status == PARTIAL) {
                        reader.read(in, status == PARTIAL ? position.get() : 0);
                        return;
                    }
                    refuse(status, what);
                    trouble = "the hub answers with status " + status;
                    wait = retryAfter(response).orElse(wait);
                }
            } catch (IOException e) {
                String why = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
                trouble = "the connection broke (" + why + ")";
            }
            if (attempt == TRIES || wait.compareTo(LONGEST_WAIT) > 0) {
                throw LitheException.of(
                        Fault.UNAVAILABLE,
                        "%s: %s, %d times; try again later, what is here is kept. Hub: %s",
                        what,
                        trouble,
                        attempt,
                        endpoint);
            }
            sleep(wait);
        }
    }

    private void refuse(int status, String what) {
        switch (status) {
            case UNAUTHORIZED, FORBIDDEN ->
                    throw LitheException.badInput(
                            "%s is gated or private (status %d); ask for access on its page, and set"
                                    + " HF_TOKEN to a token that has it%s",
                            what, status, token == null ? "" : " (the one that is set has not)");
            case NOT_FOUND ->
                    throw LitheException.badInput(
                            "%s is not on the hub %s; check the spelling and the revision",
                            what, endpoint);
            default -> {
                if (status < SERVER && status != TOO_MANY) {
                    throw LitheException.badInput(
                            "%s: the hub answers with status %d", what, status);
                }
            }
        }
    }

    private static Optional<Duration> retryAfter(HttpResponse<?> response) {
        return response.headers()
                .firstValue("Retry-After")
                .filter(value -> value.matches("\\d{1,6}"))
                .map(value -> Duration.ofSeconds(Long.parseLong(value)));
    }

    private HttpResponse<InputStream> send(String path, long from) throws IOException {
        URI target = URI.create(endpoint + path);
        for (int i = 0; i < REDIRECTS; i++) {
            HttpRequest.Builder request =
                    HttpRequest.newBuilder(target).timeout(patience).header("User-Agent", "lithe");
            if (token != null
                    && endpoint.getAuthority().equals(target.getAuthority())
                    && endpoint.getScheme().equals(target.getScheme())) {
                request.header("Authorization", "Bearer " + token);
            }
            if (from > 0) {
                request.header("Range", "bytes=" + from + "-");
            }
            HttpResponse<InputStream> response = exchange(request.build());
            Optional<String> location = response.headers().firstValue("Location");
            if (response.statusCode() / 100 != 3 || location.isEmpty()) {
                return response;
            }
            response.body().close();
            target = redirected(target, location.get());
        }
        throw new IOException("more than " + REDIRECTS + " redirects");
    }

    private URI redirected(URI from, String location) {
        try {
            URI to = from.resolve(location);
            if (to.getHost() != null
                    && ("http".equals(to.getScheme()) || "https".equals(to.getScheme()))) {
                return to;
            }
        } catch (IllegalArgumentException _) {
            // told below
        }
        throw LitheException.of(
                Fault.UNAVAILABLE,
                "%s redirects to '%s', which is no http address; is it a hub?",
                endpoint,
                location);
    }

    private HttpResponse<InputStream> exchange(HttpRequest request) throws IOException {
        try {
            return http.send(request, HttpResponse.BodyHandlers.ofInputStream());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw LitheException.of(Fault.CANCELLED, "the download was interrupted").causedBy(e);
        }
    }

    private static void sleep(Duration wait) {
        try {
            Thread.sleep(wait);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw LitheException.of(Fault.CANCELLED, "the download was interrupted").causedBy(e);
        }
    }

    @Override
    public void close() {
        http.close();
    }
}
