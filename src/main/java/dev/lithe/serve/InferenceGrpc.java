package dev.lithe.serve;

import dev.lithe.fault.LitheException;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceImplBase;
import dev.lithe.proto.inference.ModelInferRequest;
import dev.lithe.proto.inference.ModelInferResponse;
import dev.lithe.proto.inference.ModelMetadataRequest;
import dev.lithe.proto.inference.ModelMetadataResponse;
import dev.lithe.proto.inference.ModelMetadataResponse.TensorMetadata;
import dev.lithe.proto.inference.ModelReadyRequest;
import dev.lithe.proto.inference.ModelReadyResponse;
import dev.lithe.proto.inference.ModelStreamInferResponse;
import dev.lithe.proto.inference.ServerLiveRequest;
import dev.lithe.proto.inference.ServerLiveResponse;
import dev.lithe.proto.inference.ServerMetadataRequest;
import dev.lithe.proto.inference.ServerMetadataResponse;
import dev.lithe.proto.inference.ServerReadyRequest;
import dev.lithe.proto.inference.ServerReadyResponse;
import dev.lithe.route.Route;
import dev.lithe.route.Router;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import org.eclipse.microprofile.config.inject.ConfigProperty;

/// `inference.GRPCInferenceService`, the Open Inference Protocol.
@GrpcService
class InferenceGrpc extends GRPCInferenceServiceImplBase {
    private final Serving serving;
    private final Preparation preparation;
    private final Generations generations;
    private final String version;

    InferenceGrpc(
            Serving serving,
            Preparation preparation,
            Generations generations,
            @ConfigProperty(name = "quarkus.application.version") String version) {
        this.serving = serving;
        this.preparation = preparation;
        this.generations = generations;
        this.version = version;
    }

    @Override
    public void serverLive(ServerLiveRequest request, StreamObserver<ServerLiveResponse> observer) {
        Call.of(observer).answer(ServerLiveResponse.newBuilder().setLive(true).build());
    }

    @Override
    public void serverReady(
            ServerReadyRequest request, StreamObserver<ServerReadyResponse> observer) {
        Call.of(observer)
                .answer(ServerReadyResponse.newBuilder().setReady(serving.ready()).build());
    }

    @Override
    public void modelReady(ModelReadyRequest request, StreamObserver<ModelReadyResponse> observer) {
        Call<ModelReadyResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    boolean ready =
                            serving.ready()
                                    && ModelNames.of(serving.models().router())
                                            .contains(request.getName());
                    call.answer(ModelReadyResponse.newBuilder().setReady(ready).build());
                });
    }

    @Override
    public void serverMetadata(
            ServerMetadataRequest request, StreamObserver<ServerMetadataResponse> observer) {
        Call.of(observer)
                .answer(
                        ServerMetadataResponse.newBuilder()
                                .setName("lithe")
                                .setVersion(version)
                                .build());
    }

    @Override
    public void modelMetadata(
            ModelMetadataRequest request, StreamObserver<ModelMetadataResponse> observer) {
        Call<ModelMetadataResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    Router router = serving.models().router();
                    ModelNames.variant(router, request.getName());
                    call.answer(
                            ModelMetadataResponse.newBuilder()
                                    .setName(request.getName())
                                    .addVersions("1")
                                    .setPlatform("lithe")
                                    .addInputs(tensor(InferTensors.TEXT_INPUT, "BYTES", 1))
                                    .addInputs(tensor("streaming", "BOOL", 1))
                                    .addInputs(tensor("max_tokens", "INT32", 1))
                                    .addInputs(tensor("temperature", "FP32", 1))
                                    .addInputs(tensor("top_p", "FP32", 1))
                                    .addInputs(tensor("top_k", "INT32", 1))
                                    .addInputs(tensor("seed", "INT64", 1))
                                    .addInputs(tensor("stop", "BYTES", -1))
                                    .addOutputs(tensor(InferTensors.TEXT_OUTPUT, "BYTES", 1))
                                    .addOutputs(tensor(InferTensors.FINISH_REASON, "BYTES", 1))
                                    .build());
                });
    }

    private static TensorMetadata tensor(String name, String type, long size) {
        return TensorMetadata.newBuilder().setName(name).setDatatype(type).addShape(size).build();
    }

    @Override
    public void modelInfer(ModelInferRequest request, StreamObserver<ModelInferResponse> observer) {
        Call<ModelInferResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    var tensors = new InferTensors(request);
                    if (tensors.streaming()) {
                        throw LitheException.badField(
                                "streaming", "is set; use ModelStreamInfer for it");
                    }
                    Route route = generations.routeModel(request.getModelName(), call.choice());
                    var sink =
                            new InferSink(
                                    tensors,
                                    route,
                                    false,
                                    new StringBuilder(),
                                    () -> true,
                                    call::send,
                                    call::complete,
                                    call::fail);
                    call.runs(
                            generations.submit(
                                    tensors.input(), route, call.choice(), call.deadline(), sink));
                });
    }

    @Override
    public StreamObserver<ModelInferRequest> modelStreamInfer(
            StreamObserver<ModelStreamInferResponse> observer) {
        Call<ModelStreamInferResponse> call = Call.of(observer);
        call.onReady(serving::wake);
        return new InferStream(call, preparation, generations);
    }
}
