package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.google.protobuf.ByteString;
import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.lithe.proto.inference.InferParameter;
import dev.lithe.proto.inference.ModelInferRequest;
import dev.lithe.proto.inference.ModelInferResponse;
import dev.lithe.proto.inference.ModelMetadataRequest;
import dev.lithe.proto.inference.ModelReadyRequest;
import dev.lithe.proto.inference.ModelStreamInferResponse;
import dev.lithe.proto.inference.ServerLiveRequest;
import dev.lithe.proto.inference.ServerMetadataRequest;
import dev.lithe.proto.inference.ServerReadyRequest;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.Stopping;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/// The Open Inference Protocol, as its clients use it.
@QuarkusTest
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class InferenceTest {
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

    private GRPCInferenceServiceBlockingStub stub() {
        return GRPCInferenceServiceGrpc.newBlockingStub(server.channel());
    }

    private static ByteString le(int bytes, long value) {
        ByteBuffer buffer = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        return ByteString.copyFrom(buffer.putLong(value).array(), 0, bytes);
    }

    private static ModelInferRequest.Builder typed(String id, String text, int tokens) {
        var request = ModelInferRequest.newBuilder().setModelName("original").setId(id);
        request.addInputsBuilder()
                .setName("text_input")
                .setDatatype("BYTES")
                .addShape(1)
                .getContentsBuilder()
                .addBytesContents(ByteString.copyFromUtf8(text));
        return request.putParameters(
                        "max_tokens", InferParameter.newBuilder().setInt64Param(tokens).build())
                .putParameters(
                        "ignore_eos", InferParameter.newBuilder().setBoolParam(true).build());
    }

    private static ModelInferRequest.Builder streaming(ModelInferRequest.Builder request) {
        request.addInputsBuilder()
                .setName("streaming")
                .setDatatype("BOOL")
                .addShape(1)
                .getContentsBuilder()
                .addBoolContents(true);
        return request;
    }

    private String expected(String text, int tokens) {
        var input =
                GenerationInput.newBuilder()
                        .setText(text)
                        .setVariant("original")
                        .setStopping(
                                Stopping.newBuilder().setMaxNewTokens(tokens).setIgnoreEos(true));
        return server.blocking()
                .generate(GenerateRequest.newBuilder().setInput(input).build())
                .getText();
    }

    private static String output(ModelInferResponse response, int index) {
        return response.getOutputs(index).getContents().getBytesContents(0).toStringUtf8();
    }

    private static boolean last(ModelInferResponse response) {
        return response.getParametersOrThrow("triton_final_response").getBoolParam();
    }

    @Test
    void theServerAndItsModelsAreReady() {
        assertThat(stub().serverLive(ServerLiveRequest.getDefaultInstance()).getLive()).isTrue();
        assertThat(stub().serverReady(ServerReadyRequest.getDefaultInstance()).getReady()).isTrue();
        assertThat(stub().serverMetadata(ServerMetadataRequest.getDefaultInstance()).getName())
                .isEqualTo("lithe");
        for (String name : List.of("original", "other", "demo", "nobody")) {
            var ready = stub().modelReady(ModelReadyRequest.newBuilder().setName(name).build());
            assertThat(ready.getReady()).isEqualTo(!name.equals("nobody"));
        }
        var metadata =
                stub().modelMetadata(ModelMetadataRequest.newBuilder().setName("other").build());
        assertThat(metadata.getInputs(0).getName()).isEqualTo("text_input");
        assertThat(metadata.getOutputs(0).getName()).isEqualTo("text_output");
    }

    @Test
    void typedAndRawTensorsMeanTheSame() {
        String expected = expected("Once upon a time", 10);
        ModelInferResponse response =
                stub().modelInfer(typed("i-1", "Once upon a time", 10).build());
        assertThat(response.getId()).isEqualTo("i-1");
        assertThat(response.getModelName()).isEqualTo("original");
        assertThat(response.getOutputs(0).getName()).isEqualTo("text_output");
        assertThat(output(response, 0)).isEqualTo(expected);
        assertThat(output(response, 1)).isEqualTo("length");
        assertThat(response.getParametersOrThrow("completion_tokens").getInt64Param())
                .isEqualTo(10);
        var raw = ModelInferRequest.newBuilder().setModelName("original");
        raw.addInputsBuilder().setName("text_input").setDatatype("BYTES").addShape(1);
        raw.addInputsBuilder().setName("max_tokens").setDatatype("INT32").addShape(1);
        raw.addInputsBuilder().setName("temperature").setDatatype("FP32").addShape(1);
        raw.addInputsBuilder().setName("ignore_eos").setDatatype("BOOL").addShape(1);
        ByteString text = ByteString.copyFromUtf8("Once upon a time");
        raw.addRawInputContents(le(4, text.size()).concat(text))
                .addRawInputContents(le(4, 10))
                .addRawInputContents(le(4, 0))
                .addRawInputContents(le(1, 1));
        ByteString answer = stub().modelInfer(raw.build()).getRawOutputContents(0);
        assertThat(answer.substring(4).toStringUtf8()).isEqualTo(expected);
        assertThat(answer.substring(0, 4)).isEqualTo(le(4, answer.size() - 4));
    }

    @Test
    void aStreamWhoseReaderTakesNothingEnds() throws Exception {
        var received = new AtomicInteger();
        var end = new CompletableFuture<Status.Code>();
        var observer =
                new ClientResponseObserver<ModelInferRequest, ModelStreamInferResponse>() {
                    @Override
                    public void beforeStart(ClientCallStreamObserver<ModelInferRequest> call) {
                        call.disableAutoRequestWithInitial(0);
                    }

                    @Override
                    public void onNext(ModelStreamInferResponse response) {
                        received.incrementAndGet();
                    }

                    @Override
                    public void onError(Throwable error) {
                        end.complete(Status.fromThrowable(error).getCode());
                    }

                    @Override
                    public void onCompleted() {
                        end.complete(Status.Code.OK);
                    }
                };
        var requests =
                (ClientCallStreamObserver<ModelInferRequest>)
                        GRPCInferenceServiceGrpc.newStub(server.channel())
                                .modelStreamInfer(observer);
        int sent = 20_000;
        ModelInferRequest bad = typed("x".repeat(64), "x", 1).setModelName("nobody").build();
        for (int i = 0; i < sent; i++) {
            requests.onNext(bad);
            Thread.sleep(0, 20_000);
        }
        requests.request(Integer.MAX_VALUE);
        requests.onCompleted();
        assertThat(end.get(60, TimeUnit.SECONDS)).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
        assertThat(received).hasValueLessThan(sent / 2);
    }

    @Test
    void aStreamAnswersManyRequestsAtOnce() throws Exception {
        List<ModelStreamInferResponse> responses = new CopyOnWriteArrayList<>();
        var end = new CompletableFuture<Void>();
        var observer =
                new StreamObserver<ModelStreamInferResponse>() {
                    @Override
                    public void onNext(ModelStreamInferResponse response) {
                        responses.add(response);
                    }

                    @Override
                    public void onError(Throwable error) {
                        end.completeExceptionally(error);
                    }

                    @Override
                    public void onCompleted() {
                        end.complete(null);
                    }
                };
        var requests =
                GRPCInferenceServiceGrpc.newStub(server.channel()).modelStreamInfer(observer);
        requests.onNext(streaming(typed("a", "Once upon a time", 12)).build());
        requests.onNext(typed("b", "The dog", 5).build());
        requests.onNext(typed("c", "x", 1).setModelName("nobody").build());
        requests.onCompleted();
        end.get(60, TimeUnit.SECONDS);
        var text = new StringBuilder();
        for (ModelStreamInferResponse response : responses) {
            if (response.getInferResponse().getId().equals("a")) {
                text.append(output(response.getInferResponse(), 0));
            }
        }
        assertThat(text).hasToString(expected("Once upon a time", 12));
        assertThat(responses)
                .filteredOn(each -> each.getInferResponse().getId().equals("a"))
                .extracting(each -> last(each.getInferResponse()))
                .containsOnlyOnce(true)
                .endsWith(true);
        assertThat(responses)
                .filteredOn(each -> each.getInferResponse().getId().equals("b"))
                .singleElement()
                .satisfies(each ->
                        assertThat(output(each.getInferResponse(), 0))
                                .isEqualTo(expected("The dog", 5)));
        assertThat(responses)
                .filteredOn(each -> !each.getErrorMessage().isEmpty())
                .singleElement()
                .satisfies(each -> assertThat(each.getInferResponse().getId()).isEqualTo("c"));
    }

    @Test
    void nonsenseIsRefused() {
        var cutOff = typed("", "x", 1).addRawInputContents(le(4, 100));
        var tooMany = typed("", "x", 1).addRawInputContents(le(4, 0)).addRawInputContents(le(4, 0));
        var type = typed("", "x", 1);
        type.getInputsBuilder(0).setDatatype("FP16");
        for (ModelInferRequest request :
                List.of(
                        ModelInferRequest.newBuilder().setModelName("original").build(),
                        cutOff.build(),
                        tooMany.build(),
                        type.build(),
                        typed("", "x", 0).build(),
                        typed("", "x", -5).build(),
                        streaming(typed("", "x", 1)).build(),
                        typed("", "x", 1)
                                .putParameters(
                                        "temperature",
                                        InferParameter.newBuilder().setStringParam("hot").build())
                                .build())) {
            assertThat(
                            catchThrowableOfType(
                                            StatusRuntimeException.class,
                                            () -> stub().modelInfer(request))
                                    .getStatus()
                                    .getCode())
                    .isEqualTo(Status.Code.INVALID_ARGUMENT);
        }
    }
}
