package dev.lithe.serve;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/// One page of a headless Chromium, told what to do over the DevTools protocol
/// (chromedevtools.github.io/devtools-protocol).
final class Chromium implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();
    private static final int SECONDS = 300; // on a busy machine
    private static final int SECONDS_TO_ASK_AGAIN = 20;

    private final Process process;
    private final HttpClient http;
    private final URI pages;
    private final WebSocket socket;
    private final AtomicInteger calls = new AtomicInteger();
    private final Map<Integer, CompletableFuture<JsonNode>> answers = new ConcurrentHashMap<>();
    private final List<JsonNode> events = new CopyOnWriteArrayList<>();

    private Chromium(Process process, HttpClient http, URI pages, JsonNode page) {
        this.process = process;
        this.http = http;
        this.pages = pages;
        URI address = URI.create(page.path("webSocketDebuggerUrl").asText());
        this.socket = http.newWebSocketBuilder().buildAsync(address, new Ear()).join();
        List.of("Runtime.enable", "Log.enable", "Page.enable", "Network.enable")
                .forEach(method -> call(method, Map.of()));
    }

    /// Collects the pieces of messages: answers have an id, events have none.
    private final class Ear implements WebSocket.Listener {
        private final StringBuilder message = new StringBuilder();

        @Override
        public @Nullable CompletionStage<?> onText(
                WebSocket from, CharSequence piece, boolean last) {
            message.append(piece);
            if (last) {
                JsonNode node = json(message.toString());
                message.setLength(0);
                CompletableFuture<JsonNode> answer = answers.remove(node.path("id").asInt(-1));
                if (answer == null) {
                    events.add(node);
                } else {
                    answer.complete(node);
                }
            }
            from.request(1);
            return null;
        }
    }

    /// The browser on this machine's path, where there is one.
    static Optional<Path> installed() {
        return Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                .flatMap(folder ->
                        List.of("chromium", "chromium-browser", "google-chrome").stream()
                                .map(name -> Path.of(folder, name)))
                .filter(Files::isExecutable)
                .findFirst();
    }

    /// @param profile an empty folder, where it keeps what it likes
    static Chromium start(Path browser, Path profile) throws IOException {
        Process process =
                new ProcessBuilder(
                                browser.toString(),
                                "--headless=new",
                                "--no-sandbox", // it runs as root in containers
                                "--disable-gpu",
                                "--disable-dev-shm-usage",
                                "--disable-background-networking",
                                "--disable-component-update",
                                "--no-first-run",
                                "--remote-debugging-port=0",
                                "--user-data-dir=" + profile,
                                "about:blank")
                        .redirectErrorStream(true)
                        .redirectOutput(profile.resolveSibling("chromium.log").toFile())
                        .start();
        try {
            Path told = profile.resolve("DevToolsActivePort");
            until("Chromium listens", () -> told.toFile().length() > 10);
            String port = Files.readAllLines(told).getFirst();
            HttpClient http = HttpClient.newHttpClient();
            URI pages = URI.create("http://127.0.0.1:" + port + "/json/list");
            JsonNode first = list(http, pages).path(0);
            return new Chromium(process, http, pages, first);
        } catch (RuntimeException | Error e) {
            process.destroyForcibly();
            throw e;
        }
    }

    private static JsonNode list(HttpClient http, URI pages) {
        var request = HttpRequest.newBuilder(pages).build();
        return json(http.sendAsync(request, HttpResponse.BodyHandlers.ofString()).join().body());
    }

    /// The tab whose address begins so, when there is one. It ends with this page.
    Chromium tab(String address) {
        List<JsonNode> found = new ArrayList<>();
        until("a tab at " + address, () -> find(address).map(found::add).isPresent());
        return new Chromium(process, http, pages, found.getFirst());
    }

    private Optional<JsonNode> find(String address) {
        return list(http, pages)
                .valueStream()
                .filter(page -> page.path("url").asText().startsWith(address))
                .findFirst();
    }

    /// Clicks on what `selector` finds, as a person does.
    void click(String selector) {
        call(
                "Runtime.evaluate",
                Map.of(
                        "expression",
                        "document.querySelector('" + selector + "').click()",
                        "userGesture",
                        true));
    }

    private static void until(String what, BooleanSupplier condition) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + SECONDS + " s: " + what);
            }
            try {
                Thread.sleep(20);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    private static JsonNode json(String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException e) {
            throw new AssertionError(text, e);
        }
    }

    /// Calls a method of the protocol.
    JsonNode call(String method, Map<String, ?> parameters) {
        return call(method, parameters, SECONDS);
    }

    private JsonNode call(String method, Map<String, ?> parameters, int seconds) {
        int id = calls.incrementAndGet();
        var answer = new CompletableFuture<JsonNode>();
        answers.put(id, answer);
        ObjectNode message = JSON.createObjectNode().put("id", id).put("method", method);
        message.set("params", JSON.valueToTree(parameters));
        socket.sendText(message.toString(), true).join();
        JsonNode result = answer.orTimeout(seconds, TimeUnit.SECONDS).join();
        if (result.has("error")) {
            throw new AssertionError(method + ": " + result.path("error"));
        }
        return result.path("result");
    }

    /// Opens `address`, and waits until it is loaded.
    void open(URI address) {
        events.clear();
        call("Page.navigate", Map.of("url", address.toString()));
        until(
                "the page is loaded",
                () ->
                        events.stream()
                                .anyMatch(event ->
                                        event.path("method")
                                                .asText()
                                                .equals("Page.loadEventFired")));
    }

    /// What `script`, an expression, comes to; a promise is waited for.
    JsonNode evaluate(String script) {
        return evaluate(script, SECONDS);
    }

    private JsonNode evaluate(String script, int seconds) {
        JsonNode result =
                call(
                        "Runtime.evaluate",
                        Map.of("expression", script, "awaitPromise", true, "returnByValue", true),
                        seconds);
        if (result.has("exceptionDetails")) {
            throw new AssertionError(script + ": " + result.path("exceptionDetails"));
        }
        return result.path("result").path("value");
    }

    /// Waits until `condition`, an expression of the page's, is true. A document that is replaced
    /// meanwhile may take the answer with it, so that it is asked again.
    void awaits(String condition) {
        until(
                condition,
                () -> {
                    try {
                        return evaluate("!!(" + condition + ")", SECONDS_TO_ASK_AGAIN).asBoolean();
                    } catch (CompletionException e) {
                        return false;
                    }
                });
    }

    /// Shows the page on a screen of this size.
    void resize(int width, int height) {
        call(
                "Emulation.setDeviceMetricsOverride",
                Map.of("width", width, "height", height, "deviceScaleFactor", 1, "mobile", false));
    }

    /// Shows the page to somebody who prefers `dark` or `light`.
    void prefer(String scheme) {
        var feature = Map.of("name", "prefers-color-scheme", "value", scheme);
        call("Emulation.setEmulatedMedia", Map.of("features", List.of(feature)));
    }

    /// What the page's console holds of errors and warnings, and exceptions that nobody caught.
    List<String> complaints() {
        return events.stream()
                .filter(event ->
                        switch (event.path("method").asText()) {
                            case "Runtime.exceptionThrown" -> true;
                            case "Runtime.consoleAPICalled" ->
                                    event.at("/params/type").asText().matches("error|warning");
                            case "Log.entryAdded" ->
                                    event.at("/params/entry/level")
                                            .asText()
                                            .matches("error|warning");
                            default -> false;
                        })
                .map(JsonNode::toString)
                .toList();
    }

    /// Every address that the page asked for.
    List<String> requests() {
        return events.stream()
                .filter(event -> event.path("method").asText().equals("Network.requestWillBeSent"))
                .map(event -> event.at("/params/request/url").asText())
                .toList();
    }

    /// A picture of the page, as PNG.
    byte[] picture() {
        JsonNode picture = call("Page.captureScreenshot", Map.of("format", "png"));
        return Base64.getDecoder().decode(picture.path("data").asText());
    }

    @Override
    public void close() {
        socket.abort();
        http.shutdownNow(); // does not wait for the tabs
        process.destroy();
        try {
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
