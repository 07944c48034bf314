package dev.lithe.serve;

import dev.lithe.proto.v1.GetVariantRequest;
import dev.lithe.proto.v1.GetVariantResponse;
import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.ListVariantsResponse;
import dev.lithe.proto.v1.ModelServiceGrpc.ModelServiceImplBase;
import dev.lithe.route.Router;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;

/// `lithe.v1.ModelService`.
@GrpcService
class ModelGrpc extends ModelServiceImplBase {
    private final Serving serving;
    private final Preparation preparation;

    ModelGrpc(Serving serving, Preparation preparation) {
        this.serving = serving;
        this.preparation = preparation;
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
}
