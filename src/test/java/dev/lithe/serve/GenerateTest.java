package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.PlainLoop;
import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.FinishReason;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerateStreamResponse.EventCase;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GetVariantRequest;
import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.ModelServiceGrpc;
import dev.lithe.proto.v1.RandomSampling;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.TokenIds;
import dev.lithe.proto.v1.TokenizeRequest;
import dev.lithe.proto.v1.Variant;
import dev.lithe.proto.v1.VariantReason;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import io.restassured.RestAssured;
import jakarta.inject.Inject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// What a client gets from a healthy server.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class GenerateTest {
    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private TestServer server;

    @BeforeAll
    void start() {
        var weights = Map.of("original", 3.0, "other", 1.0);
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, weights);
    }

    @AfterAll
    void stop() {
        server.close();
    }

    private static GenerationInput.Builder input(String text, int tokens) {
        return GenerationInput.newBuilder()
                .setText(text)
                .setStopping(Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true));
    }

    private GenerateResponse generate(GenerationInput.Builder input) {
        return server.blocking().generate(GenerateRequest.newBuilder().setInput(input).build());
    }

    private int[] plain(String text, int tokens) {
        var model = server.router().first().model();
        int[] prompt = model.tokenizer().encode(text, true);
        return PlainLoop.greedy(model.decoder(), prompt, tokens);
    }

    @Test
    void greedyIsThePlainLoop() {
        int[] expected = plain("Once upon a time", 40);
        GenerateResponse response =
                generate(input("Once upon a time", 40).setRequestId("r-1").setVariant("other"));
        assertThat(response.getTokenIdsList()).isEqualTo(Arrays.stream(expected).boxed().toList());
        assertThat(response.getText())
                .isEqualTo(server.router().first().model().tokenizer().decode(expected));
        assertThat(response.getStart().getRequestId()).isEqualTo("r-1");
        assertThat(response.getStart().getVariant()).isEqualTo("other");
        assertThat(response.getStart().getVariantReason())
                .isEqualTo(VariantReason.VARIANT_REASON_OVERRIDE_FIELD);
        assertThat(response.getFinish().getFinishReason())
                .isEqualTo(FinishReason.FINISH_REASON_LENGTH);
        assertThat(response.getFinish().getUsage().getOutputTokens()).isEqualTo(40);
        assertThat(response.getFinish().getTimings().getTimeToFirstTokenMs()).isPositive();
    }

    @Test
    void tokenIdsAreUsedAsTheyAre() {
        var text = generate(input("The sun", 8));
        var tokens =
                server.blocking().tokenize(TokenizeRequest.newBuilder().setText("The sun").build());
        assertThat(tokens.getTokenCount()).isEqualTo(text.getStart().getPromptTokens());
        var ids = TokenIds.newBuilder().addAllIds(tokens.getTokenIdsList());
        var again = generate(input("", 8).setTokenIds(ids));
        assertThat(again.getTokenIdsList()).isEqualTo(text.getTokenIdsList());
        var bare =
                server.blocking()
                        .tokenize(
                                TokenizeRequest.newBuilder()
                                        .setText("The sun")
                                        .setAddSpecialTokens(false)
                                        .build());
        assertThat(bare.getTokenCount()).isEqualTo(tokens.getTokenCount() - 1);
    }

    @Test
    void theStreamSaysWhatTheSingleAnswerSays() {
        GenerationInput.Builder input =
                input("Tom and his dog", 30)
                        .setTemperature(0.9f)
                        .setSampling(RandomSampling.newBuilder().setSeed(0).setTopK(50));
        GenerateResponse single = generate(input);
        List<GenerateStreamResponse> events = new ArrayList<>();
        server.blocking()
                .generateStream(GenerateStreamRequest.newBuilder().setInput(input).build())
                .forEachRemaining(events::add);
        assertThat(events.getFirst().getEventCase()).isEqualTo(EventCase.START);
        assertThat(events.getLast().getEventCase()).isEqualTo(EventCase.FINISH);
        var text = new StringBuilder();
        List<Integer> ids = new ArrayList<>();
        for (GenerateStreamResponse event : events.subList(1, events.size() - 1)) {
            assertThat(event.getEventCase()).isEqualTo(EventCase.DELTA);
            text.append(event.getDelta().getText());
            ids.addAll(event.getDelta().getTokenIdsList());
        }
        assertThat(ids).hasSize(30).isEqualTo(single.getTokenIdsList());
        assertThat(text.toString()).isEqualTo(single.getText());
        assertThat(events.getFirst().getStart().getSeed()).isZero();
        assertThat(single.getStart().getSeed()).isZero();
    }

    @Test
    void manyAtOnceAnswerAsEachAlone() throws Exception {
        List<String> prompts =
                List.of("Once", "The sun", "Lily", "Tom and his dog", "A red ball", "One day");
        try (var clients = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Callable<GenerateResponse>> calls = new ArrayList<>();
            for (int i = 0; i < 18; i++) {
                String prompt = prompts.get(i % prompts.size());
                calls.add(() -> generate(input(prompt, 20)));
            }
            List<Future<GenerateResponse>> answers = clients.invokeAll(calls);
            for (int i = 0; i < answers.size(); i++) {
                int[] expected = plain(prompts.get(i % prompts.size()), 20);
                assertThat(answers.get(i).get().getTokenIdsList())
                        .isEqualTo(Arrays.stream(expected).boxed().toList());
            }
        }
    }

    @Test
    void seedsReproduce() {
        GenerationInput.Builder input = input("Once", 24).setTemperature(1);
        GenerateResponse free = generate(input);
        input.setSampling(RandomSampling.newBuilder().setSeed(free.getStart().getSeed()));
        assertThat(generate(input).getText()).isEqualTo(free.getText());
    }

    @Test
    void stopStringsEndTheText() {
        String whole = generate(input("Once upon a time", 30)).getText();
        int space = whole.indexOf(' ', whole.length() / 2);
        String stop = whole.substring(space - 2, space + 3);
        GenerationInput.Builder input = input("Once upon a time", 30);
        input.getStoppingBuilder().addStopStrings(stop);
        GenerateResponse stopped = generate(input);
        assertThat(stopped.getText()).isEqualTo(whole.substring(0, whole.indexOf(stop)));
        assertThat(stopped.getFinish().getStopString()).isEqualTo(stop);
        assertThat(stopped.getFinish().getFinishReason())
                .isEqualTo(FinishReason.FINISH_REASON_STOP_STRING);
    }

    @Test
    void theEndTokenEndsUnlessIgnored() {
        String prompt = "They were happy and went home. The end.";
        GenerationInput.Builder input = input(prompt, 400);
        GenerateResponse ignoring = generate(input);
        assertThat(ignoring.getFinish().getUsage().getOutputTokens()).isEqualTo(400);
        int end = server.router().first().model().decoder().spec().eosTokens().getFirst();
        int at = ignoring.getTokenIdsList().indexOf(end);
        assertThat(at).as("the demo ends its stories").isNotNegative();
        input.getStoppingBuilder().setIgnoreEos(false);
        GenerateResponse ended = generate(input);
        assertThat(ended.getFinish().getFinishReason())
                .isEqualTo(FinishReason.FINISH_REASON_STOP_TOKEN);
        assertThat(ended.getFinish().getUsage().getOutputTokens()).isEqualTo(at + 1);
    }

    @Test
    void twentyTokensUnlessToldOtherwise() {
        var input =
                GenerationInput.newBuilder()
                        .setText("Once")
                        .setStopping(Stopping.newBuilder().setIgnoreEos(true));
        assertThat(generate(input).getTokenIdsCount()).isEqualTo(20);
    }

    @Test
    void metadataNamesTheVariantInBothDirections() {
        var asked = new Metadata();
        asked.put(CallVariant.KEY, "other");
        var headers = new AtomicReference<Metadata>();
        var trailers = new AtomicReference<Metadata>();
        GenerateResponse response =
                server.blocking()
                        .withInterceptors(
                                MetadataUtils.newAttachHeadersInterceptor(asked),
                                MetadataUtils.newCaptureMetadataInterceptor(headers, trailers))
                        .generate(GenerateRequest.newBuilder().setInput(input("Once", 1)).build());
        assertThat(response.getStart().getVariant()).isEqualTo("other");
        assertThat(response.getStart().getVariantReason())
                .isEqualTo(VariantReason.VARIANT_REASON_OVERRIDE_METADATA);
        assertThat(headers.get().get(CallVariant.KEY)).isEqualTo("other");
    }

    @Test
    void metadataNamesTheTokenizerToo() {
        var asked = new Metadata();
        asked.put(CallVariant.KEY, "other");
        for (String field : List.of("", "original")) {
            var headers = new AtomicReference<Metadata>();
            var tokens =
                    server.blocking()
                            .withInterceptors(
                                    MetadataUtils.newAttachHeadersInterceptor(asked),
                                    MetadataUtils.newCaptureMetadataInterceptor(
                                            headers, new AtomicReference<>()))
                            .tokenize(
                                    TokenizeRequest.newBuilder()
                                            .setText("Once")
                                            .setVariant(field)
                                            .build());
            assertThat(tokens.getTokenCount()).isPositive();
            assertThat(headers.get().get(CallVariant.KEY))
                    .isEqualTo(field.isEmpty() ? "other" : field);
        }
    }

    @Test
    void weightsSplitTheRest() {
        int requests = 200;
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < requests; i++) {
            var start = generate(input("Once", 1)).getStart();
            assertThat(start.getVariantReason()).isEqualTo(VariantReason.VARIANT_REASON_WEIGHT);
            counts.merge(start.getVariant(), 1, Integer::sum);
        }
        // 150 expected, with a standard deviation of 6.1
        assertThat(counts.get("original")).isBetween(150 - 31, 150 + 31);
        assertThat(counts.get("other")).isEqualTo(requests - counts.get("original"));
    }

    @Test
    void metricsTellEachVariantsSpeed() {
        generate(input("Once", 3).setVariant("other"));
        String metrics = RestAssured.get("/q/metrics").asString();
        assertThat(metrics)
                .contains("lithe_time_to_first_token_seconds_count{variant=\"other\"}")
                .contains("lithe_time_per_output_token_seconds_sum{variant=\"other\"}")
                .contains("lithe_inter_token_latency_seconds_bucket{variant=\"other\",le=\"0.01\"}")
                .contains("lithe_e2e_request_latency_seconds_count{variant=\"other\"}")
                .contains(
                        "lithe_request_success_total{finished_reason=\"length\",variant=\"other\"}")
                .containsPattern("lithe_prompt_tokens_total.variant=\"other\". [1-9]")
                .contains("lithe_kv_cache_usage_perc")
                .contains("lithe_num_requests_waiting 0.0")
                .containsPattern("lithe_generation_tokens_total.variant=\"other\". [1-9]");
    }

    @Test
    void variantsAreListed() {
        var models = ModelServiceGrpc.newBlockingStub(server.channel());
        List<Variant> variants =
                models.listVariants(ListVariantsRequest.getDefaultInstance()).getVariantsList();
        assertThat(variants).extracting(Variant::getName).containsExactly("original", "other");
        Variant original = variants.getFirst();
        assertThat(original.getWeight()).isEqualTo(0.75);
        assertThat(original.getFolder()).isEqualTo("demo");
        assertThat(original.getMemoryBytes()).isPositive();
        assertThat(original.getLayers()).isPositive();
        assertThat(
                        models.getVariant(
                                        GetVariantRequest.newBuilder().setName("original").build())
                                .getVariant())
                .isEqualTo(original);
    }
}
