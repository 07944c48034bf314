package dev.lithe.serve;

import dev.lithe.engine.GenerationListener;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceImplBase;
import dev.lithe.proto.v1.TokenizeRequest;
import dev.lithe.proto.v1.TokenizeResponse;
import dev.lithe.route.Route;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import java.util.Arrays;
import java.util.function.Function;

/// `lithe.v1.GenerationService`.
@GrpcService
class GenerationGrpc extends GenerationServiceImplBase {
    private final Serving serving;
    private final Preparation preparation;
    private final EngineMetrics metrics;

    GenerationGrpc(Serving serving, Preparation preparation, EngineMetrics metrics) {
        this.serving = serving;
        this.preparation = preparation;
        this.metrics = metrics;
    }

    @Override
    public void generate(GenerateRequest request, StreamObserver<GenerateResponse> observer) {
        Call<GenerateResponse> call = Call.of(observer);
        GenerationInput input = request.getInput();
        preparation.run(
                call,
                request,
                () ->
                        submit(
                                call,
                                input,
                                route -> new UnarySink(call, input.getRequestId(), route)));
    }

    @Override
    public void generateStream(
            GenerateStreamRequest request, StreamObserver<GenerateStreamResponse> observer) {
        Call<GenerateStreamResponse> call = Call.of(observer);
        GenerationInput input = request.getInput();
        call.onReady(serving::wake);
        preparation.run(
                call,
                request,
                () ->
                        submit(
                                call,
                                input,
                                route -> new StreamSink(call, input.getRequestId(), route)));
    }

    private void submit(
            Call<?> call, GenerationInput input, Function<Route, GenerationListener> sink) {
        Requests.checkId(input);
        Serving.Models models = serving.models();
        Route route = models.router().route(input.getVariant(), call.choice().asked());
        call.choice().chose(route.variant().name());
        var request = Requests.of(input, route.variant().model(), call.deadline());
        var listener = metrics.observe(route.variant().name(), sink.apply(route));
        call.runs(models.engine().submit(request, listener));
    }

    @Override
    public void tokenize(TokenizeRequest request, StreamObserver<TokenizeResponse> observer) {
        Call<TokenizeResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    Router router = serving.models().router();
                    Variant variant = router.named(request.getVariant(), call.choice().asked());
                    call.choice().chose(variant.name());
                    boolean special =
                            !request.hasAddSpecialTokens() || request.getAddSpecialTokens();
                    int[] ids =
                            Requests.encode("text", request.getText(), special, variant.model());
                    call.send(
                            TokenizeResponse.newBuilder()
                                    .setTokenCount(ids.length)
                                    .addAllTokenIds(Arrays.stream(ids).boxed().toList())
                                    .build());
                    call.complete();
                });
    }
}
