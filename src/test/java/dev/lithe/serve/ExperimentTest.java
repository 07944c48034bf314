package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.CompareRequest;
import dev.lithe.proto.v1.CompareResponse;
import dev.lithe.proto.v1.CompareResponse.EventCase;
import dev.lithe.proto.v1.ExperimentServiceGrpc;
import dev.lithe.proto.v1.ExperimentServiceGrpc.ExperimentServiceBlockingStub;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GetReportRequest;
import dev.lithe.proto.v1.GetSplitRequest;
import dev.lithe.proto.v1.SetSplitRequest;
import dev.lithe.proto.v1.Split;
import dev.lithe.proto.v1.SplitShare;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.VariantReason;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// What an experimenter does with a server.
@QuarkusTest
class ExperimentTest {
    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private TestServer server;

    @BeforeEach
    void start() {
        server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of());
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private ExperimentServiceBlockingStub experiment() {
        return ExperimentServiceGrpc.newBlockingStub(server.channel());
    }

    private Split split() {
        return experiment().getSplit(GetSplitRequest.getDefaultInstance()).getSplit();
    }

    private Split set(Map<String, Double> weights) {
        return experiment()
                .setSplit(SetSplitRequest.newBuilder().putAllWeights(weights).build())
                .getSplit();
    }

    private static GenerationInput input(int tokens) {
        return GenerationInput.newBuilder()
                .setText("Once upon a time")
                .setStopping(Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true))
                .build();
    }

    private GenerateResponse generate(String key) {
        var metadata = new Metadata();
        metadata.put(Metadata.Key.of("x-ab-key", Metadata.ASCII_STRING_MARSHALLER), key);
        return server.blocking()
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata))
                .generate(GenerateRequest.newBuilder().setInput(input(1)).build());
    }

    @Test
    void aKeyStaysWithItsVariant() {
        Map<String, String> variants = new HashMap<>();
        for (int round = 0; round < 2; round++) {
            for (int user = 0; user < 20; user++) {
                GenerateResponse response = generate("user-" + user);
                String variant = response.getStart().getVariant();
                assertThat(response.getStart().getVariantReason())
                        .isEqualTo(VariantReason.VARIANT_REASON_STICKY);
                assertThat(variants.computeIfAbsent("user-" + user, _ -> variant))
                        .isEqualTo(variant);
            }
        }
        assertThat(variants.values()).contains("original", "other");
        assertThat(split().getSharesList().stream().mapToLong(SplitShare::getDrawn).sum())
                .isEqualTo(20);
        assertThat(
                        catchThrowableOfType(
                                        StatusRuntimeException.class,
                                        () -> generate("k".repeat(257)))
                                .getStatus()
                                .getCode())
                .isEqualTo(Status.Code.INVALID_ARGUMENT);
    }

    @Test
    void weightsChangeWhileItServes() {
        assertThat(split().getSharesList())
                .extracting(SplitShare::getShare)
                .containsExactly(0.5, 0.5);
        assertThat(split().getSampleRatio().getMismatch()).isFalse();
        Split changed = set(Map.of("other", 2.0));
        assertThat(changed.getSharesList())
                .extracting(SplitShare::getShare)
                .containsExactly(0.0, 1.0);
        assertThat(generate("anyone").getStart().getVariant()).isEqualTo("other");
        assertThat(split().getShares(1).getDrawn()).isEqualTo(1);
        for (Map<String, Double> wrong :
                List.of(
                        Map.<String, Double>of(),
                        Map.of("nobody", 1.0),
                        Map.of("other", -1.0),
                        Map.of("other", Double.NaN))) {
            assertThat(
                            catchThrowableOfType(StatusRuntimeException.class, () -> set(wrong))
                                    .getStatus()
                                    .getCode())
                    .isEqualTo(Status.Code.INVALID_ARGUMENT);
        }
        assertThat(split().getShares(1).getShare()).isEqualTo(1);
    }

    @Test
    void variantsAnswerSideBySide() {
        List<CompareResponse> events = new ArrayList<>();
        experiment()
                .compare(CompareRequest.newBuilder().setInput(input(24)).build())
                .forEachRemaining(events::add);
        Map<String, Integer> tokens = new HashMap<>();
        for (CompareResponse event : events) {
            tokens.merge(event.getVariant(), event.getDelta().getTokenIdsCount(), Integer::sum);
        }
        assertThat(tokens).containsEntry("original", 24).containsEntry("other", 24);
        assertThat(events)
                .filteredOn(event -> event.getEventCase() == EventCase.FINISH)
                .extracting(CompareResponse::getVariant)
                .containsExactlyInAnyOrder("original", "other");
        assertThat(events)
                .filteredOn(CompareResponse::hasFinish)
                .allMatch(event -> event.getFinish().getTimings().getTimeToFirstTokenMs() > 0);
        // Both run at the same time: neither waits for the other's end.
        List<String> order = events.stream().map(CompareResponse::getVariant).toList();
        assertThat(order.indexOf("other")).isLessThan(order.lastIndexOf("original"));
        assertThat(order.indexOf("original")).isLessThan(order.lastIndexOf("other"));
        var agreement = events.getLast().getSummary().getAgreements(0);
        assertThat(agreement.getVariant()).isEqualTo("other");
        assertThat(agreement.getSameTokens()).isEqualTo(24);
        assertThat(agreement.getIdentical()).isTrue();
    }

    @Test
    void aComparisonThatCannotBeIsRefused() {
        for (CompareRequest wrong :
                List.of(
                        CompareRequest.newBuilder()
                                .setInput(input(1))
                                .addVariants("other")
                                .addVariants("other")
                                .build(),
                        CompareRequest.newBuilder()
                                .setInput(input(1).toBuilder().setVariant("other"))
                                .build(),
                        CompareRequest.newBuilder()
                                .setInput(input(1))
                                .addVariants("nobody")
                                .build())) {
            assertThat(
                            catchThrowableOfType(
                                            StatusRuntimeException.class,
                                            () -> experiment().compare(wrong).hasNext())
                                    .getStatus()
                                    .getCode())
                    .isIn(Status.Code.INVALID_ARGUMENT, Status.Code.NOT_FOUND);
        }
        List<CompareResponse> events = new ArrayList<>();
        experiment().compare(CompareRequest.getDefaultInstance()).forEachRemaining(events::add);
        assertThat(events).filteredOn(CompareResponse::hasError).hasSize(2);
        assertThat(events.getLast().getEventCase()).isEqualTo(EventCase.SUMMARY);
    }

    @Test
    void aReportThatIsNotThereIsNotFound() {
        assertThat(
                        catchThrowableOfType(
                                        StatusRuntimeException.class,
                                        () ->
                                                experiment()
                                                        .getReport(
                                                                GetReportRequest
                                                                        .getDefaultInstance()))
                                .getStatus()
                                .getCode())
                .isEqualTo(Status.Code.NOT_FOUND);
    }

    @Test
    void theSampleRatioOfFairDrawsIsFine() {
        set(Map.of("original", 3.0, "other", 1.0));
        for (int i = 0; i < 400; i++) {
            server.router().route("", "", "");
        }
        Split split = split();
        assertThat(split.getSharesList().stream().mapToLong(SplitShare::getDrawn).sum())
                .isEqualTo(400);
        assertThat(split.getShares(0).getDrawn() / 400.0).isCloseTo(0.75, within(0.1));
        assertThat(split.getSampleRatio().getMismatch()).isFalse();
    }
}
