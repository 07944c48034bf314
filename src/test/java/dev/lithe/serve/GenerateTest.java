package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.engine.EngineLimits;
import dev.lithe.engine.Generation;
import dev.lithe.proto.v1.FinishReason;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.route.Variant;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class GenerateTest {
    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private TestServer server;

    @BeforeAll
    void start() {
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of());
    }

    @AfterAll
    void stop() {
        server.close();
    }

    @Test
    void greedyIsThePlainLoop() {
        Variant variant = server.router().first();
        int[] prompt = variant.model().tokenizer().encode("Once upon a time", true);
        var request =
                GenerateRequest.newBuilder()
                        .setInput(
                                GenerationInput.newBuilder()
                                        .setText("Once upon a time")
                                        .setStopping(
                                                Stopping.newBuilder()
                                                        .setMaxNewTokens(40)
                                                        .setIgnoreEos(true)))
                        .build();
        GenerateResponse response = server.blocking().generate(request);
        int[] expected = Generation.greedy(variant.model().decoder(), prompt, 40).ids();
        assertThat(response.getTokenIdsList()).isEqualTo(Arrays.stream(expected).boxed().toList());
        assertThat(response.getText()).isEqualTo(variant.model().tokenizer().decode(expected));
        assertThat(response.getFinish().getFinishReason())
                .isEqualTo(FinishReason.FINISH_REASON_LENGTH);
        assertThat(response.getStart().getPromptTokens()).isEqualTo(prompt.length);
    }
}
