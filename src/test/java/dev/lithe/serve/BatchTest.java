package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.rpc.Code;
import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.BatchGenerateRequest;
import dev.lithe.proto.v1.BatchGenerateResponse;
import dev.lithe.proto.v1.BatchGenerateResult;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GetServerInfoRequest;
import dev.lithe.proto.v1.GetServerInfoResponse;
import dev.lithe.proto.v1.ModelServiceGrpc;
import dev.lithe.proto.v1.Stopping;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// Several inputs in one call, and what the server says of itself.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BatchTest {
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

    private static GenerationInput input(String id, String text, int tokens) {
        return GenerationInput.newBuilder()
                .setRequestId(id)
                .setText(text)
                .setVariant("original")
                .setStopping(Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true))
                .build();
    }

    private BatchGenerateResponse batch(List<GenerationInput> inputs) {
        return server.blocking()
                .batchGenerate(BatchGenerateRequest.newBuilder().addAllInputs(inputs).build());
    }

    @Test
    void answersComeInOrderEachWithItsOwnError() {
        List<GenerationInput> inputs =
                List.of(
                        input("a", "Once upon a time", 30),
                        input("b", "", 5).toBuilder().clearPrompt().build(),
                        input("c", "The dog", 2),
                        input("d", "Tom", 4).toBuilder().setVariant("nobody").build(),
                        input("e", "Lily", 9));
        List<BatchGenerateResult> results = batch(inputs).getResultsList();
        assertThat(results).hasSize(5);
        for (int i : List.of(0, 2, 4)) {
            var single =
                    server.blocking()
                            .generate(GenerateRequest.newBuilder().setInput(inputs.get(i)).build());
            assertThat(results.get(i).getResponse().getTokenIdsList())
                    .isEqualTo(single.getTokenIdsList());
            assertThat(results.get(i).getResponse().getText()).isEqualTo(single.getText());
            assertThat(results.get(i).getResponse().getStart().getRequestId())
                    .isEqualTo(inputs.get(i).getRequestId());
        }
        assertThat(results.get(1).getError().getCode()).isEqualTo(Code.INVALID_ARGUMENT_VALUE);
        assertThat(results.get(1).getError().getDetailsCount()).isEqualTo(1);
        assertThat(results.get(3).getError().getCode()).isEqualTo(Code.NOT_FOUND_VALUE);
    }

    @Test
    void theNumberOfInputsIsBounded() {
        for (int count : List.of(0, 65)) {
            var inputs = Collections.nCopies(count, input("", "Tom", 1));
            assertThat(
                            catchThrowableOfType(StatusRuntimeException.class, () -> batch(inputs))
                                    .getStatus()
                                    .getCode())
                    .isEqualTo(Status.Code.INVALID_ARGUMENT);
        }
        assertThat(batch(Collections.nCopies(64, input("", "Tom", 1))).getResultsList())
                .allMatch(BatchGenerateResult::hasResponse);
    }

    @Test
    void leavingEndsAllOfThem() {
        var inputs = Collections.nCopies(20, input("", "Tom", 400));
        try (var gate = Gate.shut(server);
                Context.CancellableContext client = Context.current().withCancellation()) {
            client.run(() -> {
                var call =
                        server.future()
                                .batchGenerate(
                                        BatchGenerateRequest.newBuilder()
                                                .addAllInputs(inputs)
                                                .build());
                Eventually.holds("all wait", () -> server.engine().waiting() >= 12);
                call.cancel(true);
            });
            gate.open();
            Eventually.holds(
                    "none is left",
                    () -> server.engine().waiting() == 0 && server.engine().running() == 0);
        }
    }

    @Test
    void theServerTellsItsLimits() {
        GetServerInfoResponse info =
                ModelServiceGrpc.newBlockingStub(server.channel())
                        .withDeadlineAfter(30, TimeUnit.SECONDS)
                        .getServerInfo(GetServerInfoRequest.getDefaultInstance());
        assertThat(info.getName()).isEqualTo("lithe");
        assertThat(info.getVersion()).matches("[0-9]+\\.[0-9]+.*");
        assertThat(info.getVariantsList()).containsExactly("original", "other");
        assertThat(info.getLimits().getWaitingRequests()).isEqualTo(EngineLimits.DEFAULT.queue());
        assertThat(info.getLimits().getMessageBytes()).isEqualTo(4 << 20);
        assertThat(info.getStartedAt().getSeconds()).isPositive();
    }
}
