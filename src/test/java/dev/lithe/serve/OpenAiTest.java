package dev.lithe.serve;

import static io.restassured.RestAssured.given;
import static org.assertj.core.api.Assertions.assertThat;
import static org.hamcrest.Matchers.containsString;
import static org.hamcrest.Matchers.endsWith;
import static org.hamcrest.Matchers.equalTo;
import static org.hamcrest.Matchers.hasItems;
import static org.hamcrest.Matchers.hasSize;
import static org.hamcrest.Matchers.startsWith;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.engine.EngineLimits;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.common.http.TestHTTPResource;
import io.quarkus.test.junit.QuarkusTest;
import io.restassured.http.ContentType;
import io.restassured.response.ValidatableResponse;
import jakarta.inject.Inject;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpClient.Version;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// OpenAI's interface, as its clients use it.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class OpenAiTest {
    private static final String TEMPLATE =
            "{% for message in messages %}{% if message.role == 'system' %}"
                    + "{{ raise_exception('no system message') }}{% endif %}"
                    + "{{ message.content }}{% endfor %}";
    private static final JsonMapper JSON = new JsonMapper();

    @Inject Serving serving;
    @Inject GrpcServer grpc;
    @TestHTTPResource URI http;
    private Path folder;
    private TestServer server;

    @BeforeAll
    void start() throws IOException {
        folder = Files.createTempDirectory("lithe-chat");
        try (Stream<Path> files = Files.list(TestServer.DEMO)) {
            for (Path file : files.toList()) {
                Files.copy(file, folder.resolve(file.getFileName()));
            }
        }
        Files.writeString(folder.resolve("chat_template.jinja"), TEMPLATE);
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of(), folder);
    }

    @AfterAll
    void stop() throws IOException {
        server.close();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    private static ValidatableResponse post(String path, Map<String, ?> body) {
        return given().contentType(ContentType.JSON).body(body).post(path).then();
    }

    private static Map<String, Object> prompt(Object prompt) {
        return Map.of("model", "original", "prompt", prompt, "max_tokens", 12, "temperature", 0);
    }

    private static Map<String, Object> with(Map<String, Object> body, String name, Object value) {
        var changed = new LinkedHashMap<>(body);
        changed.put(name, value);
        return changed;
    }

    /// The data of the events of a stream.
    private static List<String> events(String path, Map<String, ?> body) {
        String text =
                post(path, body)
                        .statusCode(200)
                        .contentType("text/event-stream")
                        .extract()
                        .asString();
        List<String> events = new ArrayList<>();
        for (String event : text.split("\n\n")) {
            assertThat(event).startsWith("data: ");
            events.add(event.substring("data: ".length()));
        }
        assertThat(events.removeLast()).isEqualTo("[DONE]");
        return events;
    }

    private static JsonNode json(String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException e) {
            throw new AssertionError(text, e);
        }
    }

    @Test
    void modelsAreTheVariantsAndTheirCommonName() {
        given().get("/v1/models")
                .then()
                .statusCode(200)
                .body("object", equalTo("list"))
                .body("data.id", hasItems("original", "other", "demo"));
        given().get("/v1/models/other").then().statusCode(200).body("id", equalTo("other"));
        given().get("/v1/models/nobody")
                .then()
                .statusCode(404)
                .body("error.code", equalTo("model_not_found"));
    }

    @Test
    void aCompletionAndItsStreamAreTheSame() {
        String text =
                post("/v1/completions", prompt("Once upon a time"))
                        .statusCode(200)
                        .header("x-variant", "original")
                        .body("object", equalTo("text_completion"))
                        .body("model", equalTo("original"))
                        .body("choices[0].finish_reason", equalTo("length"))
                        .body("usage.completion_tokens", equalTo(12))
                        .extract()
                        .path("choices[0].text");
        assertThat(text).isNotBlank();
        Map<String, Object> body = with(prompt("Once upon a time"), "stream", true);
        List<String> events =
                events(
                        "/v1/completions",
                        with(body, "stream_options", Map.of("include_usage", true)));
        var streamed = new StringBuilder();
        events.forEach(event ->
                streamed.append(json(event).path("choices").path(0).path("text").asText("")));
        assertThat(streamed).hasToString(text);
        assertThat(json(events.getLast()).path("usage").path("completion_tokens").asInt())
                .isEqualTo(12);
        assertThat(json(events.getLast()).path("choices")).isEmpty();
        assertThat(json(events.get(events.size() - 2)).at("/choices/0/finish_reason").asText())
                .isEqualTo("length");
        assertThat(events("/v1/completions", body)).noneMatch(event -> event.contains("usage"));
    }

    @Test
    void severalPromptsAndChoicesComeInOrder() {
        post("/v1/completions", with(prompt(List.of("The dog", "A cat")), "n", 2))
                .statusCode(200)
                .body("choices", hasSize(4))
                .body("choices.index", equalTo(List.of(0, 1, 2, 3)));
        int[] ids = server.router().first().model().tokenizer().encode("Once upon a time", true);
        String byText =
                post("/v1/completions", prompt("Once upon a time"))
                        .extract()
                        .path("choices[0].text");
        post("/v1/completions", prompt(ids))
                .statusCode(200)
                .body("usage.prompt_tokens", equalTo(ids.length))
                .body("choices[0].text", equalTo(byText));
        Map<String, Object> stream = with(prompt(List.of("The dog", "A cat")), "stream", true);
        assertThat(events("/v1/completions", stream))
                .anyMatch(event -> json(event).at("/choices/0/index").asInt() == 1);
    }

    @Test
    void aChatIsWhatItsTemplateMakesOfIt() {
        Map<String, Object> body =
                Map.of(
                        "model",
                        "other",
                        "messages",
                        List.of(
                                Map.of("role", "user", "content", "<|bos|>Once upon "),
                                Map.of(
                                        "role",
                                        "user",
                                        "content",
                                        List.of(Map.of("type", "text", "text", "a time")))),
                        "max_completion_tokens",
                        12,
                        "temperature",
                        0,
                        "logprobs",
                        true,
                        "top_logprobs",
                        2);
        String expected =
                post("/v1/completions", prompt("Once upon a time"))
                        .extract()
                        .path("choices[0].text");
        post("/v1/chat/completions", body)
                .statusCode(200)
                .body("object", equalTo("chat.completion"))
                .body("choices[0].message.role", equalTo("assistant"))
                .body("choices[0].message.content", equalTo(expected))
                .body("choices[0].logprobs.content", hasSize(12))
                .body("choices[0].logprobs.content[0].top_logprobs", hasSize(2));
        List<String> events = events("/v1/chat/completions", with(body, "stream", true));
        assertThat(json(events.getFirst()).at("/choices/0/delta/role").asText())
                .isEqualTo("assistant");
        var streamed = new StringBuilder();
        events.forEach(
                event -> streamed.append(json(event).at("/choices/0/delta/content").asText("")));
        assertThat(streamed).hasToString(expected);
        var system = List.of(Map.of("role", "system", "content", "Be kind."));
        post("/v1/chat/completions", with(body, "messages", system))
                .statusCode(400)
                .body("error.message", containsString("no system message"));
    }

    @Test
    void aModelWithoutATemplateSaysSo() {
        var messages = List.of(Map.of("role", "user", "content", "Hello"));
        post("/v1/chat/completions", Map.of("model", "original", "messages", messages))
                .statusCode(400)
                .body("error.param", equalTo("messages"))
                .body("error.message", containsString("chat template"));
    }

    @Test
    void logprobsStopAndSeedAreHeard() {
        post("/v1/completions", with(prompt("Once upon a time"), "logprobs", 3))
                .statusCode(200)
                .body("choices[0].logprobs.tokens", hasSize(12))
                .body("choices[0].logprobs.token_logprobs", hasSize(12));
        post(
                        "/v1/completions",
                        with(with(prompt("Once upon a time"), "stop", "a"), "max_tokens", 40))
                .statusCode(200)
                .body("choices[0].finish_reason", equalTo("stop"));
        Map<String, Object> drawn =
                with(with(prompt("Once upon a time"), "temperature", 1.5), "seed", 4);
        String first = post("/v1/completions", drawn).extract().path("choices[0].text");
        post("/v1/completions", drawn).body("choices[0].text", equalTo(first));
    }

    @Test
    void errorsAreInOpenAiForm() {
        post("/v1/completions", with(prompt("x"), "model", "nobody"))
                .statusCode(404)
                .body("error.type", equalTo("invalid_request_error"));
        Map<String, Object> wrong =
                Map.ofEntries(
                        Map.entry("temperature", -1),
                        Map.entry("max_tokens", 0),
                        Map.entry("stop", 5),
                        Map.entry("n", 65),
                        Map.entry("seed", "abc"),
                        Map.entry("echo", 1),
                        Map.entry("stop_token_ids", List.of(5)),
                        Map.entry("response_format", "json_object"),
                        Map.entry("frequency_penalty", 1),
                        Map.entry("presence_penalty", 1),
                        Map.entry("logit_bias", Map.of("5", 1)),
                        Map.entry("prompt", List.of()));
        wrong.forEach((name, value) ->
                post("/v1/completions", with(prompt("x"), name, value))
                        .statusCode(400)
                        .body("error.param", equalTo(name)));
        post("/v1/completions", with(prompt("x"), "max_tokens", -1))
                .statusCode(400)
                .body("error.message", startsWith("max_tokens: -1; use 1"));
        post("/v1/completions", with(prompt("x"), "logprobs", 21))
                .statusCode(400)
                .body("error.param", equalTo("logprobs"))
                .body("error.message", startsWith("logprobs: 21"));
        given().delete("/v1/models")
                .then()
                .statusCode(404)
                .body("error.code", equalTo("not_found"));
        post("/v1/completions", with(prompt("x"), "stop", List.of(1))).statusCode(400);
        post("/v1/completions", with(prompt("x"), "best_of", 1)).statusCode(200);
        given().contentType(ContentType.JSON)
                .body("{")
                .post("/v1/completions")
                .then()
                .statusCode(400)
                .body("error.type", equalTo("invalid_request_error"))
                .body("error.message", endsWith("close marker for Object"));
        given().contentType(ContentType.JSON)
                .body("[".repeat(100_000))
                .post("/v1/completions")
                .then()
                .statusCode(400);
        given().contentType(ContentType.JSON)
                .body("x".repeat(5 << 20))
                .post("/v1/completions")
                .then()
                .statusCode(400)
                .body("error.message", containsString("longer"));
    }

    @Test
    void bodiesThatDoNotComeFillNoMemory() throws IOException {
        String head =
                "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\ncontent-length: %d\r\n\r\n{"
                        .formatted(OpenAiHttp.MAX_BODY);
        List<Socket> held = new ArrayList<>();
        try {
            for (int i = 0; i < Arrivals.LIMIT / OpenAiHttp.MAX_BODY; i++) {
                var socket = new Socket(http.getHost(), http.getPort());
                held.add(socket);
                socket.getOutputStream().write(head.getBytes(StandardCharsets.UTF_8));
            }
            Eventually.holds(
                    "the next is refused",
                    () ->
                            given().body(with(prompt("Tom"), "max_tokens", 1))
                                            .contentType(ContentType.JSON)
                                            .post("/v1/completions")
                                            .statusCode()
                                    == 429);
        } finally {
            for (Socket socket : held) {
                socket.close();
            }
        }
        Eventually.holds(
                "there is room again",
                () ->
                        given().body(with(prompt("Tom"), "max_tokens", 1))
                                        .contentType(ContentType.JSON)
                                        .post("/v1/completions")
                                        .statusCode()
                                == 200);
    }

    /// A body that has come counts no more, however long its answer takes.
    @Test
    void bodiesOfUnknownLengthCountUntilTheyHaveCome() throws Exception {
        long many = 2 * Arrivals.LIMIT / OpenAiHttp.MAX_BODY;
        byte[] body =
                "{\"model\":\"original\",\"prompt\":\"Tom\",\"max_tokens\":1}"
                        .getBytes(StandardCharsets.UTF_8);
        HttpRequest request =
                HttpRequest.newBuilder(http.resolve("/v1/completions"))
                        .POST(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body)))
                        .build();
        List<CompletableFuture<HttpResponse<Void>>> answers = new ArrayList<>();
        try (var gate = Gate.shut(server);
                var client = HttpClient.newBuilder().version(Version.HTTP_1_1).build()) {
            for (int i = 1; i <= many; i++) {
                int waiting = i;
                answers.add(client.sendAsync(request, BodyHandlers.discarding()));
                Eventually.holds("it waits", () -> server.engine().waiting() == waiting);
            }
            gate.open();
            for (CompletableFuture<HttpResponse<Void>> answer : answers) {
                assertThat(answer.get(60, TimeUnit.SECONDS).statusCode()).isEqualTo(200);
            }
        }
    }

    @Test
    void aClientThatLeavesFreesItsPlace() throws IOException {
        String body =
                "{\"model\":\"original\",\"prompt\":\"Tom\",\"max_tokens\":500,\"stream\":true,"
                        + "\"ignore_eos\":true}";
        String request =
                "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\n"
                        + "content-length: %d\r\n\r\n%s".formatted(body.length(), body);
        try (var gate = Gate.shut(server)) {
            try (var socket = new Socket(http.getHost(), http.getPort())) {
                OutputStream out = socket.getOutputStream();
                out.write(request.getBytes(StandardCharsets.UTF_8));
                out.flush();
                Eventually.holds("it waits", () -> server.engine().waiting() == 1);
            }
            gate.open();
            Eventually.holds(
                    "it is gone",
                    () -> server.engine().running() == 0 && server.engine().waiting() == 0);
            assertThat(server.engine().steps()).isLessThan(10_000);
        }
    }
}
