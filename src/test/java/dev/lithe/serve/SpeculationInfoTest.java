package dev.lithe.serve;

import static io.restassured.RestAssured.given;
import static org.assertj.core.api.Assertions.assertThat;
import static org.hamcrest.Matchers.containsString;

import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GetServerInfoRequest;
import dev.lithe.proto.v1.ModelServiceGrpc;
import dev.lithe.proto.v1.Speculation;
import dev.lithe.proto.v1.Stopping;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.Iterator;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// What an operator sees of guesses, and how variants share the machine.
@QuarkusTest
class SpeculationInfoTest {
    private static final int TOKENS = 120;

    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private TestServer server;

    @BeforeEach
    void start() {
        var weights = Map.of("original", 9.0, "other", 1.0);
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, weights);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private static GenerationInput input(String variant, int tokens) {
        return GenerationInput.newBuilder()
                .setText("Once upon a time")
                .setVariant(variant)
                .setStopping(Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true))
                .build();
    }

    private String answer(String variant) {
        var request = GenerateRequest.newBuilder().setInput(input(variant, TOKENS));
        return server.blocking().generate(request.build()).getText();
    }

    @Test
    void countsAreToldToClientsAndScrapers() {
        server.engine()
                .speculate(
                        new dev.lithe.engine.Speculation(
                                server.router().variant("original").model(),
                                server.router().variant("other").model(),
                                4));
        // The other one is the same model here, and nobody guesses for it.
        assertThat(answer("original")).isEqualTo(answer("other"));
        Speculation counts =
                ModelServiceGrpc.newBlockingStub(server.channel())
                        .getServerInfo(GetServerInfoRequest.getDefaultInstance())
                        .getSpeculation();
        assertThat(counts.getDraftTokens()).isPositive();
        assertThat(counts.getAcceptedTokens()).isEqualTo(counts.getDraftTokens());
        assertThat(counts.getAcceptedTokensPerPositionList()).hasSize(4);
        assertThat(counts.getSpeedup()).isPositive();
        given().get("/q/metrics")
                .then()
                .statusCode(200)
                .body(containsString("lithe_spec_decode_num_drafts_total"))
                .body(
                        containsString(
                                "lithe_spec_decode_num_draft_tokens_total "
                                        + (double) counts.getDraftTokens()))
                .body(containsString("lithe_spec_decode_num_accepted_tokens_total"))
                .body(containsString("lithe_spec_decode_speedup"))
                .body(containsString("lithe_spec_decode_active"));
    }

    private Iterator<GenerateStreamResponse> stream(String variant, int tokens) {
        return server.blocking()
                .generateStream(
                        GenerateStreamRequest.newBuilder()
                                .setInput(input(variant, tokens))
                                .build());
    }

    /// Both have work all the time; what the engine computed for the light one while the heavy one
    /// ran is a ninth of that, or a part for which chance leaves plenty of room.
    @Test
    void variantsShareTheMachineByWeight() {
        Iterator<GenerateStreamResponse> light = stream("other", 400);
        assertThat(light.next().hasStart()).isTrue();
        long before = server.engine().steps();
        Iterator<GenerateStreamResponse> heavy = stream("original", 300);
        while (heavy.hasNext()) {
            heavy.next();
        }
        long others = server.engine().steps() - before - 300;
        assertThat(others).isBetween(1L, 200L);
        while (light.hasNext()) {
            light.next();
        }
    }
}
