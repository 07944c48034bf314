package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.engine.EngineLimits;
import dev.lithe.engine.ServedModel;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.ResponseOptions;
import dev.lithe.proto.v1.ScoreRequest;
import dev.lithe.proto.v1.ScoreResponse;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.TokenIds;
import dev.lithe.proto.v1.TokenLogprobs;
import dev.lithe.tensor.TensorScope;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// Log probabilities: of tokens that are generated, and of texts that are given.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ScoreTest {
    private static final String STORY =
            "Once upon a time there was a little girl named Lily. She loved to play outside.";

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

    private GenerationInput.Builder input(int top) {
        return GenerationInput.newBuilder()
                .setText("Once upon a time")
                .setVariant("original")
                .setStopping(Stopping.newBuilder().setMaxNewTokens(12).setIgnoreEos(true))
                .setResponse(ResponseOptions.newBuilder().setTopLogprobs(top));
    }

    private GenerateResponse generate(GenerationInput.Builder input) {
        return server.blocking().generate(GenerateRequest.newBuilder().setInput(input).build());
    }

    private static TokenIds ids(List<Integer> ids) {
        return TokenIds.newBuilder().addAllIds(ids).build();
    }

    /// Log probabilities of tokens 1 and later, straight from the forward pass.
    private static double[] plain(ServedModel model, int[] ids) {
        int vocabulary = model.decoder().spec().vocabSize();
        double[] logprobs = new double[ids.length - 1];
        try (var scope = TensorScope.open()) {
            long[] elements = Arrays.stream(ids).asLongStream().toArray();
            var cache = model.decoder().newCache(1, ids.length, scope);
            var input = scope.tensor(elements, 1, ids.length);
            float[] logits = model.decoder().forward(input, 0, cache, true, scope).floats();
            for (int i = 0; i < logprobs.length; i++) {
                double sum = 0;
                for (int id = 0; id < vocabulary; id++) {
                    sum += Math.exp(logits[i * vocabulary + id]);
                }
                logprobs[i] = logits[i * vocabulary + ids[i + 1]] - Math.log(sum);
            }
        }
        return logprobs;
    }

    @Test
    void aTextScoresAsTheForwardPassSays() {
        ServedModel model = server.router().first().model();
        int[] ids = model.tokenizer().encode(STORY.repeat(6), true);
        double[] expected = plain(model, ids);
        ScoreResponse response =
                server.blocking()
                        .score(
                                ScoreRequest.newBuilder()
                                        .setRequestId("s-1")
                                        .setText(STORY.repeat(6))
                                        .setTopLogprobs(20)
                                        .build());
        assertThat(response.getRequestId()).isEqualTo("s-1");
        assertThat(response.getVariant()).isEqualTo("original");
        assertThat(response.getPromptTokens()).isEqualTo(1);
        assertThat(response.getTokensList())
                .extracting(TokenLogprobs::getTokenId)
                .isEqualTo(Arrays.stream(ids).skip(1).boxed().toList());
        for (int i = 0; i < expected.length; i++) {
            TokenLogprobs token = response.getTokens(i);
            assertThat((double) token.getLogprob())
                    .as("token %d", i + 1)
                    .isCloseTo(expected[i], within(2e-3));
            assertThat(token.getTopCount()).isEqualTo(20);
            if (token.getRank() <= 20) {
                assertThat(token.getTop(token.getRank() - 1).getLogprob())
                        .isEqualTo(token.getLogprob());
            }
        }
        assertThat(response.getLogLikelihood())
                .isCloseTo(Arrays.stream(expected).sum(), within(0.05));
        assertThat(response.getGreedy()).isFalse();
    }

    @Test
    void whatWasGeneratedGreedilyScoresAsItSaid() {
        GenerateResponse said = generate(input(3));
        assertThat(said.getLogprobsList())
                .extracting(TokenLogprobs::getTokenId)
                .isEqualTo(said.getTokenIdsList());
        assertThat(said.getLogprobsList()).allMatch(token -> token.getRank() == 1);
        int[] prompt = server.router().first().model().tokenizer().encode("Once upon a time", true);
        ScoreResponse scored =
                server.blocking()
                        .score(
                                ScoreRequest.newBuilder()
                                        .setPromptTokenIds(
                                                ids(Arrays.stream(prompt).boxed().toList()))
                                        .setTokenIds(ids(said.getTokenIdsList()))
                                        .setTopLogprobs(3)
                                        .build());
        assertThat(scored.getGreedy()).isTrue();
        assertThat(scored.getPromptTokens()).isEqualTo(prompt.length);
        for (int i = 0; i < scored.getTokensCount(); i++) {
            assertThat(scored.getTokens(i).getLogprob())
                    .isCloseTo(said.getLogprobs(i).getLogprob(), within(2e-3f));
        }
        var text =
                server.blocking()
                        .score(
                                ScoreRequest.newBuilder()
                                        .setPromptText("Once upon a time")
                                        .setText(said.getText())
                                        .build());
        assertThat(text.getPromptTokens()).isEqualTo(prompt.length);
        assertThat(text.getLogLikelihood()).isCloseTo(scored.getLogLikelihood(), within(0.02));
    }

    @Test
    void theStreamCarriesWhatTheAnswerCarries() {
        GenerateResponse whole = generate(input(2).setTemperature(0));
        List<TokenLogprobs> streamed = new ArrayList<>();
        server.blocking()
                .generateStream(GenerateStreamRequest.newBuilder().setInput(input(2)).build())
                .forEachRemaining((GenerateStreamResponse event) -> {
                    assertThat(event.getDelta().getLogprobsCount())
                            .isEqualTo(event.getDelta().getTokenIdsCount());
                    streamed.addAll(event.getDelta().getLogprobsList());
                });
        assertThat(streamed)
                .extracting(TokenLogprobs::getTokenId)
                .isEqualTo(whole.getTokenIdsList());
        assertThat(streamed).allMatch(token -> token.getTopCount() == 2);
        assertThat(generate(input(0).clearResponse()).getLogprobsCount()).isZero();
    }

    @Test
    void nonsenseIsRefused() {
        for (ScoreRequest request :
                List.of(
                        ScoreRequest.getDefaultInstance(),
                        ScoreRequest.newBuilder().setText("").build(),
                        ScoreRequest.newBuilder().setPromptText("a").setText("").build(),
                        ScoreRequest.newBuilder().setText(STORY).setTopLogprobs(21).build(),
                        ScoreRequest.newBuilder().setText(STORY).setTopLogprobs(-1).build(),
                        ScoreRequest.newBuilder().setTokenIds(ids(List.of(1, -1))).build(),
                        ScoreRequest.newBuilder().setText(STORY.repeat(100)).build())) {
            assertThat(
                            catchThrowableOfType(
                                            StatusRuntimeException.class,
                                            () -> server.blocking().score(request))
                                    .getStatus()
                                    .getCode())
                    .isEqualTo(Status.Code.INVALID_ARGUMENT);
        }
        assertThat(
                        catchThrowableOfType(
                                        StatusRuntimeException.class, () -> generate(input(21)))
                                .getStatus()
                                .getCode())
                .isEqualTo(Status.Code.INVALID_ARGUMENT);
    }
}
