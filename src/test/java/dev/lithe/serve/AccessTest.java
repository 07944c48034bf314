package dev.lithe.serve;

import static io.restassured.RestAssured.given;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.hamcrest.Matchers.equalTo;

import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc;
import dev.lithe.proto.inference.ModelInferRequest;
import dev.lithe.proto.inference.ModelStreamInferResponse;
import dev.lithe.proto.v1.BatchGenerateRequest;
import dev.lithe.proto.v1.ExperimentServiceGrpc;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.ModelServiceGrpc;
import dev.lithe.proto.v1.SetSplitRequest;
import dev.lithe.proto.v1.Stopping;
import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import io.grpc.ClientInterceptor;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Who is let in.
@QuarkusTest
class AccessTest {
    @Inject Serving serving;
    @Inject GrpcServer grpc;
    @Inject Access access;
    @TempDir Path folder;
    private TestServer server;
    private Path tokens;

    @BeforeEach
    void start() throws IOException {
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of());
        tokens = folder.resolve("tokens");
        Files.writeString(tokens, "# comment\n\nsecret\nadmin better\n");
    }

    @AfterEach
    void stop() {
        access.configure(Optional.empty(), 0);
        server.close();
    }

    private static ClientInterceptor bearer(String token) {
        var metadata = new Metadata();
        metadata.put(
                Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
                "Bearer " + token);
        return MetadataUtils.newAttachHeadersInterceptor(metadata);
    }

    private void list(String token) {
        ModelServiceGrpc.newBlockingStub(server.channel())
                .withInterceptors(bearer(token))
                .listVariants(ListVariantsRequest.getDefaultInstance());
    }

    private void weigh(String token) {
        ExperimentServiceGrpc.newBlockingStub(server.channel())
                .withInterceptors(bearer(token))
                .setSplit(SetSplitRequest.newBuilder().putWeights("other", 1).build());
    }

    private static Status.Code code(ThrowingCallable call) {
        return catchThrowableOfType(StatusRuntimeException.class, call).getStatus().getCode();
    }

    @Test
    void tokensOpenBothPorts() {
        access.configure(Optional.of(tokens), 0);
        assertThatCode(() -> list("secret")).doesNotThrowAnyException();
        assertThat(code(() -> list("wrong"))).isEqualTo(Status.Code.UNAUTHENTICATED);
        assertThat(code(() -> list(""))).isEqualTo(Status.Code.UNAUTHENTICATED);
        assertThat(code(() -> list("# comment"))).isEqualTo(Status.Code.UNAUTHENTICATED);
        assertThatCode(() ->
                        HealthGrpc.newBlockingStub(server.channel())
                                .check(HealthCheckRequest.getDefaultInstance()))
                .doesNotThrowAnyException();
        given().get("/v1/models")
                .then()
                .statusCode(401)
                .body("error.code", equalTo("invalid_api_key"));
        given().header("authorization", "Bearer secret").get("/v1/models").then().statusCode(200);
        given().get("/q/health/live").then().statusCode(200);
    }

    @Test
    void onlyAnAdminChangesWeights() {
        access.configure(Optional.of(tokens), 0);
        assertThat(code(() -> weigh("secret"))).isEqualTo(Status.Code.PERMISSION_DENIED);
        assertThatCode(() -> weigh("better")).doesNotThrowAnyException();
        access.configure(Optional.empty(), 0);
        assertThatCode(() -> weigh("nobody")).doesNotThrowAnyException();
    }

    @Test
    void aChangedFileIsReadAgain() throws IOException {
        access.configure(Optional.of(tokens), 0);
        Files.writeString(tokens, "other\n");
        Files.setLastModifiedTime(tokens, FileTime.fromMillis(1_000_000));
        Eventually.holds("the old is out", () -> access.caller("Bearer secret", "").isEmpty());
        assertThat(access.caller("bearer other", "")).isPresent();
    }

    private void batch(int inputs) {
        var input =
                GenerationInput.newBuilder()
                        .setText("Once")
                        .setStopping(Stopping.newBuilder().setMaxNewTokens(1));
        var request = BatchGenerateRequest.newBuilder();
        for (int i = 0; i < inputs; i++) {
            request.addInputs(input);
        }
        server.blocking().withInterceptors(bearer("secret")).batchGenerate(request.build());
    }

    /// At 2.5 a second, a client has 5 at once.
    @Test
    void everyRequestOfACallCounts() {
        access.configure(Optional.of(tokens), 2.5);
        assertThat(code(() -> batch(7))).isEqualTo(Status.Code.INVALID_ARGUMENT);
        access.configure(Optional.of(tokens), 2.5);
        assertThatCode(() -> batch(5)).doesNotThrowAnyException();
        assertThat(code(() -> batch(3))).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
        access.configure(Optional.of(tokens), 0.5);
        given().header("authorization", "Bearer secret")
                .body("{\"prompt\": [\"a\", \"b\"], \"max_tokens\": 1}")
                .post("/v1/completions")
                .then()
                .statusCode(429);
    }

    @Test
    void aStreamOfRequestsPaysForEachAndEndsWithItsToken() throws Exception {
        access.configure(Optional.of(tokens), 1.5);
        var answers = new LinkedBlockingQueue<String>();
        StreamObserver<ModelInferRequest> requests =
                GRPCInferenceServiceGrpc.newStub(server.channel())
                        .withInterceptors(bearer("secret"))
                        .modelStreamInfer(
                                new StreamObserver<>() {
                                    @Override
                                    public void onNext(ModelStreamInferResponse response) {
                                        answers.add(response.getErrorMessage());
                                    }

                                    @Override
                                    public void onError(Throwable error) {
                                        answers.add(error.toString());
                                    }

                                    @Override
                                    public void onCompleted() {
                                        answers.add("completed");
                                    }
                                });
        var unknown = ModelInferRequest.newBuilder().setModelName("nobody").build();
        for (int i = 0; i < 4; i++) {
            requests.onNext(unknown);
        }
        List<String> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            all.add(answers.poll(60, TimeUnit.SECONDS));
        }
        assertThat(all).filteredOn(each -> each.contains("per second")).hasSize(1);
        Files.writeString(tokens, "other\n");
        access.configure(Optional.of(tokens), 0);
        requests.onNext(unknown);
        assertThat(answers.poll(60, TimeUnit.SECONDS)).contains("no valid token");
        requests.onCompleted();
        assertThat(answers.poll(60, TimeUnit.SECONDS)).isEqualTo("completed");
    }

    @Test
    void otherNamesOfThisMachineNeedAToken() {
        given().header("host", "evil.example:80")
                .get("/v1/models")
                .then()
                .statusCode(421)
                .body("error.code", equalTo("misdirected_request"));
        given().header("host", "evil.example").get("/").then().statusCode(421);
        for (String host : List.of("localhost", "127.0.0.1:8080", "[::1]:8080")) {
            given().header("host", host).get("/v1/models").then().statusCode(200);
        }
        access.configure(Optional.of(tokens), 0);
        given().header("host", "lithe.example")
                .header("authorization", "Bearer secret")
                .get("/v1/models")
                .then()
                .statusCode(200);
    }

    @Test
    void whoAsksTooOftenIsRefused() {
        access.configure(Optional.of(tokens), 0.01);
        assertThatCode(() -> list("secret")).doesNotThrowAnyException();
        assertThat(code(() -> list("secret"))).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
        assertThatCode(() -> list("better")).doesNotThrowAnyException();
        given().header("authorization", "Bearer secret")
                .get("/v1/models")
                .then()
                .statusCode(429)
                .header("retry-after", "100");
    }
}
