package dev.lithe.serve;

import dev.lithe.engine.GenerationListener;
import dev.lithe.proto.v1.BatchGenerateRequest;
import dev.lithe.proto.v1.BatchGenerateResponse;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerateResponse;
import dev.lithe.proto.v1.GenerateStreamRequest;
import dev.lithe.proto.v1.GenerateStreamResponse;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceImplBase;
import dev.lithe.proto.v1.ScoreRequest;
import dev.lithe.proto.v1.ScoreResponse;
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
    private final Generations generations;

    GenerationGrpc(Serving serving, Preparation preparation, Generations generations) {
        this.serving = serving;
        this.preparation = preparation;
        this.generations = generations;
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
                                route ->
                                        new UnarySink(
                                                input.getRequestId(),
                                                route,
                                                call::answer,
                                                call::fail)));
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
        call.runs(generations.submit(input, call.choice(), call.deadline(), sink));
    }

    @Override
    public void batchGenerate(
            BatchGenerateRequest request, StreamObserver<BatchGenerateResponse> observer) {
        Call<BatchGenerateResponse> call = Call.of(observer);
        preparation.run(call, request, () -> new Batch(call, request).submit(generations));
    }

    @Override
    public void score(ScoreRequest request, StreamObserver<ScoreResponse> observer) {
        Call<ScoreResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    Requests.checkId(request.getRequestId());
                    Serving.Models models = serving.models();
                    Variant variant =
                            models.router().named(request.getVariant(), call.choice().asked());
                    call.choice().chose(variant.name());
                    var score = Requests.score(request, variant.model(), call.deadline());
                    var response =
                            ScoreResponse.newBuilder()
                                    .setRequestId(request.getRequestId())
                                    .setVariant(variant.name())
                                    .setPromptTokens(score.first());
                    call.runs(models.engine().score(score, new ScoreSink(call, response)));
                });
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
                    call.answer(
                            TokenizeResponse.newBuilder()
                                    .setTokenCount(ids.length)
                                    .addAllTokenIds(Arrays.stream(ids).boxed().toList())
                                    .build());
                });
    }
}
