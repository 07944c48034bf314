package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.RetryInfo;
import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.Decoding;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GetVariantRequest;
import dev.lithe.proto.v1.ModelServiceGrpc;
import dev.lithe.proto.v1.RandomSampling;
import dev.lithe.proto.v1.Stopping;
import dev.lithe.proto.v1.TokenIds;
import dev.lithe.proto.v1.TokenizeRequest;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.Collections;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What a client gets that asks for too much, or leaves.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class RefusalTest {
    private static final int LONG = 480;

    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private TestServer server;

    @BeforeAll
    void start() {
        var limits =
                new EngineLimits(
                        1, 1, EngineLimits.DEFAULT.cacheBytes(), EngineLimits.DEFAULT.stall());
        server = new TestServer(serving, grpc.getPort(), limits, Map.of());
    }

    @AfterAll
    void stop() {
        server.close();
    }

    private static GenerationInput.Builder input() {
        return GenerationInput.newBuilder()
                .setText("Once")
                .setStopping(Stopping.newBuilder().setMaxNewTokens(1));
    }

    private StatusRuntimeException refused(GenerationInput.Builder input) {
        return catchThrowableOfType(
                StatusRuntimeException.class,
                () ->
                        server.blocking()
                                .generate(GenerateRequest.newBuilder().setInput(input).build()));
    }

    private record Wrong(String field, GenerationInput.Builder input) {
        @Override
        public String toString() {
            return field;
        }
    }

    static Stream<Wrong> wrong() {
        var sampling = RandomSampling.newBuilder();
        var stopping = Stopping.newBuilder();
        return Stream.of(
                new Wrong("input.request_id", input().setRequestId("x".repeat(257))),
                new Wrong("input.prompt", input().clearPrompt()),
                new Wrong("input.prompt", input().setTokenIds(TokenIds.newBuilder())),
                new Wrong("input.prompt", input().setTokenIds(TokenIds.newBuilder().addIds(-1))),
                new Wrong(
                        "input.prompt",
                        input().setTokenIds(TokenIds.newBuilder().addIds(10_000_000))),
                new Wrong("input.prompt", input().setText("word ".repeat(2000))),
                new Wrong("input.prompt", input().setText("x".repeat(512 * 128 + 1))),
                new Wrong("input.temperature", input().setTemperature(-0.1f)),
                new Wrong("input.temperature", input().setTemperature(Float.NaN)),
                new Wrong(
                        "input.sampling.top_k", input().setSampling(sampling.clone().setTopK(-1))),
                new Wrong("input.sampling.top_p", input().setSampling(sampling.clone().setTopP(0))),
                new Wrong(
                        "input.sampling.top_p",
                        input().setSampling(sampling.clone().setTopP(1.5f))),
                new Wrong("input.sampling.min_p", input().setSampling(sampling.clone().setMinP(1))),
                new Wrong(
                        "input.decoding.repetition_penalty",
                        input().setDecoding(Decoding.newBuilder().setRepetitionPenalty(0))),
                new Wrong(
                        "input.stopping.max_new_tokens",
                        input().setStopping(stopping.clone().setMaxNewTokens(0))),
                new Wrong(
                        "input.stopping.stop_strings",
                        input().setStopping(stopping.clone().addStopStrings(""))),
                new Wrong(
                        "input.stopping.stop_strings",
                        input().setStopping(stopping.clone().addStopStrings("x".repeat(257)))),
                new Wrong(
                        "input.stopping.stop_strings",
                        input().setStopping(
                                        stopping.clone()
                                                .addAllStopStrings(Collections.nCopies(17, "x")))));
    }

    @ParameterizedTest
    @MethodSource("wrong")
    void wrongFieldsAreNamed(Wrong wrong) throws InvalidProtocolBufferException {
        StatusRuntimeException e = refused(wrong.input());
        assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.INVALID_ARGUMENT);
        assertThat(e.getStatus().getDescription()).doesNotContain("\n");
        var status = StatusProto.fromThrowable(e);
        assertThat(status).isNotNull();
        var details = status.getDetails(0).unpack(BadRequest.class);
        assertThat(details.getFieldViolations(0).getField()).isEqualTo(wrong.field());
    }

    @Test
    void tokenIdsAreUnsigned() {
        var ids = TokenIds.newBuilder().addIds(-1);
        assertThat(refused(input().setTokenIds(ids)).getStatus().getDescription())
                .contains("token id 4294967295 ");
    }

    @Test
    void unknownVariantsAreNotFound() {
        StatusRuntimeException e = refused(input().setVariant("best"));
        assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.NOT_FOUND);
        assertThat(e.getStatus().getDescription()).contains("best", "original, other");
        var metadata = new Metadata();
        metadata.put(CallVariant.KEY, "worst");
        var byMetadata =
                catchThrowableOfType(
                        StatusRuntimeException.class,
                        () ->
                                server.blocking()
                                        .withInterceptors(
                                                MetadataUtils.newAttachHeadersInterceptor(metadata))
                                        .generate(
                                                GenerateRequest.newBuilder()
                                                        .setInput(input())
                                                        .build()));
        assertThat(byMetadata.getStatus().getCode()).isEqualTo(Status.Code.NOT_FOUND);
        var models = ModelServiceGrpc.newBlockingStub(server.channel());
        var get =
                catchThrowableOfType(
                        StatusRuntimeException.class,
                        () -> models.getVariant(GetVariantRequest.getDefaultInstance()));
        assertThat(get.getStatus().getCode()).isEqualTo(Status.Code.NOT_FOUND);
    }

    @Test
    void aRefusalNamesTheVariantToo() {
        var headers = new AtomicReference<Metadata>();
        var trailers = new AtomicReference<Metadata>();
        var stub =
                server.blocking()
                        .withInterceptors(
                                MetadataUtils.newCaptureMetadataInterceptor(headers, trailers));
        var input = input().setVariant("other").setTemperature(-1);
        assertThat(
                        catchThrowableOfType(
                                StatusRuntimeException.class,
                                () ->
                                        stub.generate(
                                                GenerateRequest.newBuilder()
                                                        .setInput(input)
                                                        .build())))
                .isNotNull();
        assertThat(trailers.get().get(CallVariant.KEY)).isEqualTo("other");
    }

    @Test
    void tokenizeHasTheLimitOfPrompts() {
        var request = TokenizeRequest.newBuilder().setText("x".repeat(512 * 128 + 1)).build();
        var e =
                catchThrowableOfType(
                        StatusRuntimeException.class, () -> server.blocking().tokenize(request));
        assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.INVALID_ARGUMENT);
        assertThat(e.getStatus().getDescription()).startsWith("text: 65537").contains("65536");
    }

    @Test
    void aMessageAboveFourMebibytesIsRefused() {
        StatusRuntimeException e = refused(input().setText("x".repeat(5 << 20)));
        assertThat(e.getStatus().getCode())
                .isIn(Status.Code.RESOURCE_EXHAUSTED, Status.Code.CANCELLED);
        assertThat(refused(input().setVariant("best"))).isNotNull();
    }

    private GenerateStreamRequest longStream() {
        var stopping = Stopping.newBuilder().setMaxNewTokens(LONG).setIgnoreEos(true);
        return GenerateStreamRequest.newBuilder().setInput(input().setStopping(stopping)).build();
    }

    @Test
    void aFullQueueSaysWhenToComeBack() throws InvalidProtocolBufferException {
        try (var _ = Gate.shut(server);
                var waiting = StreamClient.start(server, longStream())) {
            Eventually.holds("one waits", () -> server.engine().waiting() == 1);
            StatusRuntimeException e = refused(input());
            assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
            var status = StatusProto.fromThrowable(e);
            assertThat(status).isNotNull();
            RetryInfo retry = status.getDetails(0).unpack(RetryInfo.class);
            long nanos = retry.getRetryDelay().getSeconds() * 1_000_000_000L;
            assertThat(nanos + retry.getRetryDelay().getNanos())
                    .isBetween(100_000_000L, 60_000_000_000L);
            waiting.cancel();
        }
        idle();
        server.blocking().generate(GenerateRequest.newBuilder().setInput(input()).build());
    }

    private void idle() {
        Eventually.holds(
                "the engine is idle",
                () -> server.engine().running() == 0 && server.engine().waiting() == 0);
    }

    @Test
    void leavingMidStreamStopsTheComputation() {
        long before = server.engine().steps();
        try (var client = StreamClient.start(server, longStream())) {
            client.awaitDeltas(3);
            client.cancel();
            assertThat(client.awaitEnd().getStatus().getCode()).isEqualTo(Status.Code.CANCELLED);
        }
        // A later call on the same connection: the server knows that the client left.
        assertThat(refused(input().setVariant("best"))).isNotNull();
        long known = server.engine().steps() - before;
        idle();
        long steps = server.engine().steps() - before;
        assertThat(steps).isBetween(3L, known + 1);
        assertThat(known).isLessThan(LONG);
        server.blocking().generate(GenerateRequest.newBuilder().setInput(input()).build());
        assertThat(server.engine().steps() - before).isEqualTo(steps + 1);
    }

    @Test
    void leavingTheQueueFreesItsPlaceWithoutAToken() {
        long before = server.engine().steps();
        try (var gate = Gate.shut(server);
                var client = StreamClient.start(server, longStream())) {
            Eventually.holds("it waits", () -> server.engine().waiting() == 1);
            client.cancel();
            assertThat(client.awaitEnd().getStatus().getCode()).isEqualTo(Status.Code.CANCELLED);
            // The server hears of it after the client does; another call on the connection is
            // later.
            assertThat(refused(input().setVariant("best"))).isNotNull();
            gate.open();
            idle();
        }
        assertThat(server.engine().steps() - before).isEqualTo(1);
    }

    @Test
    void theDeadlineStopsTheComputation() {
        long before = server.engine().steps();
        try (var gate = Gate.shut(server)) {
            var e =
                    catchThrowableOfType(
                            StatusRuntimeException.class,
                            () ->
                                    server.blocking()
                                            .withDeadlineAfter(100, TimeUnit.MILLISECONDS)
                                            .generateStream(longStream())
                                            .forEachRemaining(_ -> {}));
            assertThat(e.getStatus().getCode()).isEqualTo(Status.Code.DEADLINE_EXCEEDED);
            gate.open();
            idle();
        }
        assertThat(server.engine().steps() - before).isEqualTo(1);
        var running =
                catchThrowableOfType(
                        StatusRuntimeException.class,
                        () ->
                                server.blocking()
                                        .withDeadlineAfter(100, TimeUnit.MILLISECONDS)
                                        .generateStream(longStream())
                                        .forEachRemaining(_ -> {}));
        assertThat(running.getStatus().getCode()).isEqualTo(Status.Code.DEADLINE_EXCEEDED);
        idle();
        assertThat(server.engine().steps() - before).isLessThan(LONG);
    }
}
