package dev.lithe.serve;

import com.google.protobuf.Timestamp;
import dev.lithe.engine.Engine;
import dev.lithe.engine.EngineLimits;
import dev.lithe.engine.SpeculationCounts;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.proto.v1.GetServerInfoRequest;
import dev.lithe.proto.v1.GetServerInfoResponse;
import dev.lithe.proto.v1.GetVariantRequest;
import dev.lithe.proto.v1.GetVariantResponse;
import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.ListVariantsResponse;
import dev.lithe.proto.v1.ModelServiceGrpc.ModelServiceImplBase;
import dev.lithe.proto.v1.ServerLimits;
import dev.lithe.proto.v1.ServerLoad;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import java.lang.management.ManagementFactory;
import org.eclipse.microprofile.config.inject.ConfigProperty;

/// `lithe.v1.ModelService`.
@GrpcService
class ModelGrpc extends ModelServiceImplBase {
    private final Serving serving;
    private final Preparation preparation;
    private final String version;
    private final int messageBytes;

    ModelGrpc(
            Serving serving,
            Preparation preparation,
            @ConfigProperty(name = "quarkus.application.version") String version,
            @ConfigProperty(name = "quarkus.grpc.server.max-inbound-message-size")
                    int messageBytes) {
        this.serving = serving;
        this.preparation = preparation;
        this.version = version;
        this.messageBytes = messageBytes;
    }

    @Override
    public void listVariants(
            ListVariantsRequest request, StreamObserver<ListVariantsResponse> observer) {
        Call<ListVariantsResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    Router router = serving.models().router();
                    var response = ListVariantsResponse.newBuilder();
                    router.variants()
                            .forEach(each -> response.addVariants(Responses.variant(each, router)));
                    call.send(response.build());
                    call.complete();
                });
    }

    @Override
    public void getVariant(GetVariantRequest request, StreamObserver<GetVariantResponse> observer) {
        Call<GetVariantResponse> call = Call.of(observer);
        preparation.run(
                call,
                request,
                () -> {
                    Router router = serving.models().router();
                    var variant = Responses.variant(router.variant(request.getName()), router);
                    call.send(GetVariantResponse.newBuilder().setVariant(variant).build());
                    call.complete();
                });
    }

    @Override
    public void getServerInfo(
            GetServerInfoRequest request, StreamObserver<GetServerInfoResponse> observer) {
        Call<GetServerInfoResponse> call = Call.of(observer);
        preparation.run(call, request, () -> call.answer(info(serving.models())));
    }

    private static dev.lithe.proto.v1.Speculation speculation(SpeculationCounts counts) {
        return dev.lithe.proto.v1.Speculation.newBuilder()
                .setActive(counts.active())
                .setDrafts(counts.drafts())
                .setDraftTokens(counts.draftTokens())
                .setAcceptedTokens(counts.acceptedTokens())
                .addAllAcceptedTokensPerPosition(counts.acceptedAt())
                .setSpeedup(counts.speedup())
                .setSwitchedOff(counts.switchedOff())
                .build();
    }

    private GetServerInfoResponse info(Serving.Models models) {
        Engine engine = models.engine();
        EngineLimits limits = engine.limits();
        long started = ManagementFactory.getRuntimeMXBean().getStartTime();
        var info = GetServerInfoResponse.newBuilder();
        serving.speculation().ifPresent(counts -> info.setSpeculation(speculation(counts)));
        return info.setName("lithe")
                .setVersion(version)
                .setStartedAt(Timestamp.newBuilder().setSeconds(started / 1000))
                .addAllVariants(models.router().variants().stream().map(Variant::name).toList())
                .setLimits(
                        ServerLimits.newBuilder()
                                .setWaitingRequests(limits.queue())
                                .setRunningRequests(limits.running())
                                .setCacheBytes(limits.cacheBytes())
                                .setMessageBytes(messageBytes)
                                .setBatchInputs(Batch.MAX_INPUTS)
                                .setTopLogprobs(TokenLogprobs.MAX_TOP))
                .setLoad(
                        ServerLoad.newBuilder()
                                .setRunningRequests(engine.running())
                                .setWaitingRequests(engine.waiting())
                                .setGeneratedTokens(engine.steps()))
                .build();
    }
}
