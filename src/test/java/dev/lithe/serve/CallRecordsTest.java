package dev.lithe.serve;

import static io.restassured.RestAssured.given;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.Stopping;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import io.restassured.http.ContentType;
import jakarta.inject.Inject;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.jboss.logmanager.ExtLogRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// Ids of requests, and the line of the log that tells of each.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CallRecordsTest {
    private static final Metadata.Key<String> ID =
            Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);
    private static final Logger LOG = Logger.getLogger("dev.lithe.requests");

    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private TestServer server;
    private final List<ExtLogRecord> lines = new CopyOnWriteArrayList<>();
    private final Handler handler =
            new Handler() {
                @Override
                public void publish(LogRecord line) {
                    var wrapped = ExtLogRecord.wrap(line);
                    wrapped.copyMdc();
                    lines.add(wrapped);
                }

                @Override
                public void flush() {}

                @Override
                public void close() {}
            };

    @BeforeAll
    void start() {
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of());
        LOG.setLevel(Level.INFO);
        LOG.addHandler(handler);
    }

    @AfterAll
    void stop() {
        LOG.removeHandler(handler);
        LOG.setLevel(null);
        server.close();
    }

    private ExtLogRecord line(String id) {
        Eventually.holds(
                "a line of " + id,
                () -> lines.stream().anyMatch(each -> id.equals(each.getMdc("request_id"))));
        return lines.stream()
                .filter(each -> id.equals(each.getMdc("request_id")))
                .findFirst()
                .orElseThrow();
    }

    private static GenerateRequest request(String prompt) {
        return GenerateRequest.newBuilder()
                .setInput(
                        GenerationInput.newBuilder()
                                .setText(prompt)
                                .setVariant("other")
                                .setStopping(
                                        Stopping.newBuilder()
                                                .setMaxNewTokens(5)
                                                .setIgnoreEos(true)))
                .build();
    }

    @Test
    void aCallHasTheClientsIdAndOneLine() {
        var sent = new Metadata();
        sent.put(ID, "mine-1");
        var headers = new AtomicReference<Metadata>();
        var trailers = new AtomicReference<Metadata>();
        var answer =
                server.blocking()
                        .withInterceptors(
                                MetadataUtils.newAttachHeadersInterceptor(sent),
                                MetadataUtils.newCaptureMetadataInterceptor(headers, trailers))
                        .generate(request("a secret prompt"));
        assertThat(headers.get().get(ID)).isEqualTo("mine-1");
        ExtLogRecord line = line("mine-1");
        assertThat(line.getMdc("method")).isEqualTo("lithe.v1.GenerationService/Generate");
        assertThat(line.getMdc("status")).isEqualTo("OK");
        assertThat(line.getMdc("variant")).isEqualTo("other");
        assertThat(line.getMdc("output_tokens")).isEqualTo("5");
        assertThat(Integer.parseInt(line.getMdc("prompt_tokens")))
                .isEqualTo(answer.getStart().getPromptTokens());
        assertThat(Double.parseDouble(line.getMdc("first_token_ms")))
                .isPositive()
                .isLessThanOrEqualTo(Double.parseDouble(line.getMdc("duration_ms")));
        assertThat(line.getMessage() + line.getMdcCopy())
                .doesNotContain("secret")
                .doesNotContain(answer.getText());
        assertThat(lines.stream().filter(each -> "mine-1".equals(each.getMdc("request_id"))))
                .hasSize(1);
    }

    @Test
    void aRefusedCallGetsAnIdInItsTrailers() {
        StatusRuntimeException refused =
                catchThrowableOfType(
                        StatusRuntimeException.class,
                        () -> server.blocking().generate(GenerateRequest.getDefaultInstance()));
        Metadata trailers = refused.getTrailers();
        assertThat(trailers).isNotNull();
        String id = trailers.get(ID);
        assertThat(id).hasSize(16);
        assertThat(line(id).getMdc("status")).isEqualTo("INVALID_ARGUMENT");
    }

    @Test
    void soHasAnHttpRequest() {
        given().contentType(ContentType.JSON)
                .header("x-request-id", "mine-2")
                .body("{\"model\":\"other\",\"prompt\":\"Once\",\"max_tokens\":3}")
                .post("/v1/completions")
                .then()
                .statusCode(200)
                .header("x-request-id", "mine-2");
        assertThat(line("mine-2").getMdc("status")).isEqualTo("200");
        assertThat(line("mine-2").getMdc("variant")).isEqualTo("other");
        String made = given().get("/v1/models").header("x-request-id");
        assertThat(line(made).getMdc("method")).isEqualTo("/v1/models");
    }
}
