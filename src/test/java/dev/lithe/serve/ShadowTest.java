package dev.lithe.serve;

import static io.restassured.RestAssured.given;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.engine.EngineLimits;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.BatchGenerateRequest;
import dev.lithe.proto.v1.ExperimentServiceGrpc;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GetSplitRequest;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.route.ExperimentOptions;
import dev.lithe.route.Shadow;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Requests are watched without anybody noticing.
@QuarkusTest
class ShadowTest {
    private static final JsonMapper JSON = new JsonMapper();

    @Inject Serving serving;
    @Inject GrpcServer grpc;
    @Inject Experiments experiments;
    @TempDir Path folder;
    private TestServer server;

    @BeforeEach
    void start() {
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of());
    }

    @AfterEach
    void stop() {
        experiments.configure(ExperimentOptions.NONE, serving.models());
        server.close();
    }

    private void configure(ExperimentOptions options) {
        experiments.configure(options, serving.models());
    }

    private Shadow.Counts counts() {
        return experiments.shadow().orElseThrow().counts();
    }

    private static GenerationInput.Builder input(String variant, int tokens) {
        return GenerationInput.newBuilder()
                .setRequestId("r-" + tokens)
                .setText("Once upon a time")
                .setVariant(variant)
                .setTemperature(1)
                .setStopping(Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true));
    }

    private void generate(String variant, int tokens) {
        server.blocking()
                .generate(GenerateRequest.newBuilder().setInput(input(variant, tokens)).build());
    }

    @Test
    void copiesSayWhatTheAnswerSaid() {
        configure(new ExperimentOptions(Optional.of("other"), 1, Optional.empty()));
        for (int i = 1; i <= 4; i++) {
            generate("original", i);
        }
        generate("other", 9);
        Eventually.holds("four copies", () -> counts().completed() == 4);
        // Drawn with the same seeds by the same weights.
        assertThat(counts()).isEqualTo(new Shadow.Counts(4, 0, 10, 10));
        assertThat(
                        ExperimentServiceGrpc.newBlockingStub(server.channel())
                                .getSplit(GetSplitRequest.getDefaultInstance())
                                .getSplit()
                                .getShadowVariant())
                .isEqualTo("other");
    }

    @Test
    void copiesWaitUntilNobodyDoes() {
        configure(new ExperimentOptions(Optional.of("other"), 1, Optional.empty()));
        var request = GenerateStreamRequest.newBuilder().setInput(input("original", 450)).build();
        try (StreamClient client = StreamClient.start(server, request)) {
            client.awaitDeltas(1);
            generate("original", 3);
            client.awaitDeltas(60);
            assertThat(counts().completed()).isZero();
            client.cancel();
            Eventually.holds("one copy", () -> counts().completed() == 1);
        }
    }

    @Test
    void moreThanMayWaitAreDropped() {
        configure(new ExperimentOptions(Optional.of("other"), 1, Optional.empty()));
        var request = GenerateStreamRequest.newBuilder().setInput(input("original", 450)).build();
        try (StreamClient client = StreamClient.start(server, request)) {
            client.awaitDeltas(1);
            var batch = BatchGenerateRequest.newBuilder();
            for (int i = 0; i < 64; i++) {
                batch.addInputs(input("original", 1));
            }
            server.blocking().batchGenerate(batch.build());
            generate("original", 1);
            Eventually.holds("one is dropped", () -> counts().dropped() == 1);
        }
    }

    @Test
    void everyRequestLeavesALineWithoutItsText() throws IOException {
        Path file = folder.resolve("exposures.jsonl");
        configure(new ExperimentOptions(Optional.empty(), 1, Optional.of(file)));
        generate("original", 2);
        generate("", 3);
        given().header("x-request-id", "mine")
                .body("{\"prompt\": \"Once\", \"temperature\": -1, \"model\": \"other\"}")
                .post("/v1/completions")
                .then()
                .statusCode(400);
        configure(ExperimentOptions.NONE);
        List<String> lines = Files.readAllLines(file);
        assertThat(lines).hasSize(3).noneMatch(line -> line.contains("Once"));
        JsonNode line = JSON.readTree(lines.getFirst());
        assertThat(line.path("request_id").asText()).isEqualTo("r-2");
        assertThat(line.path("variant").asText()).isEqualTo("original");
        assertThat(line.path("reason").asText()).isEqualTo("override_field");
        assertThat(line.path("output_tokens").asInt()).isEqualTo(2);
        assertThat(line.path("end").asText()).isEqualTo("length");
        assertThat(JSON.readTree(lines.get(1)).path("reason").asText()).isEqualTo("weight");
        JsonNode refused = JSON.readTree(lines.getLast());
        assertThat(refused.path("request_id").asText()).isEqualTo("mine");
        assertThat(refused.path("end").asText()).isEqualTo("bad_input");
        assertThat(given().get("/q/metrics").asString())
                .containsPattern(
                        "lithe_request_failure_total\\{[^}]*fault=\"bad_input\"[^}]*\\} [1-9]");
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> new ExperimentOptions(Optional.of("x"), 0, Optional.empty()))
                .isInstanceOf(LitheException.class);
        Path nowhere = folder.resolve("no/such/folder/log");
        assertThatThrownBy(() ->
                        configure(new ExperimentOptions(Optional.empty(), 1, Optional.of(nowhere))))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("exposure log");
    }
}
