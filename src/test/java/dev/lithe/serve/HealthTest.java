package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.inference.GRPCInferenceServiceGrpc;
import dev.lithe.proto.inference.ModelReadyRequest;
import dev.lithe.proto.inference.ServerReadyRequest;
import dev.lithe.proto.v1.GenerateRequest;
import dev.lithe.proto.v1.GenerationServiceGrpc;
import dev.lithe.proto.v1.TokenizeRequest;
import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.reflection.v1.ServerReflectionGrpc;
import io.grpc.reflection.v1.ServerReflectionRequest;
import io.grpc.reflection.v1.ServerReflectionResponse;
import io.grpc.reflection.v1.ServiceResponse;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import jakarta.inject.Inject;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// What probes and tools learn of a server.
@QuarkusTest
class HealthTest {
    @Inject Serving serving;
    @Inject GrpcServer grpc;
    private ManagedChannel channel;

    @BeforeEach
    void connect() {
        channel = TestServer.channel(grpc.getPort());
    }

    @AfterEach
    void disconnect() {
        channel.shutdownNow();
    }

    private ServingStatus health(String service) {
        return HealthGrpc.newBlockingStub(channel)
                .check(HealthCheckRequest.newBuilder().setService(service).build())
                .getStatus();
    }

    /// What the Open Inference Protocol says of the server and its model, which must agree.
    private boolean ready() {
        var stub = GRPCInferenceServiceGrpc.newBlockingStub(channel);
        boolean server = stub.serverReady(ServerReadyRequest.getDefaultInstance()).getReady();
        var model = ModelReadyRequest.newBuilder().setName("original").build();
        assertThat(stub.modelReady(model).getReady()).isEqualTo(server);
        return server;
    }

    private StatusRuntimeException refused() {
        return catchThrowableOfType(
                StatusRuntimeException.class,
                () ->
                        GenerationServiceGrpc.newBlockingStub(channel)
                                .generate(GenerateRequest.getDefaultInstance()));
    }

    @Test
    void followsTheModels() {
        List<String> services =
                List.of(
                        "",
                        "lithe.v1.GenerationService",
                        "lithe.v1.ModelService",
                        "lithe.v1.ExperimentService",
                        "inference.GRPCInferenceService");
        assertThat(services).allMatch(each -> health(each) == ServingStatus.NOT_SERVING);
        assertThat(refused().getStatus().getCode()).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(
                        catchThrowableOfType(
                                        StatusRuntimeException.class,
                                        () ->
                                                GenerationServiceGrpc.newBlockingStub(channel)
                                                        .tokenize(
                                                                TokenizeRequest
                                                                        .getDefaultInstance()))
                                .getStatus()
                                .getCode())
                .isEqualTo(Status.Code.UNAVAILABLE);
        try (var _ = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of())) {
            assertThat(services).allMatch(each -> health(each) == ServingStatus.SERVING);
            assertThat(refused().getStatus().getCode()).isEqualTo(Status.Code.INVALID_ARGUMENT);
        }
        assertThat(services).allMatch(each -> health(each) == ServingStatus.NOT_SERVING);
        assertThat(refused().getStatus().getCode()).isEqualTo(Status.Code.UNAVAILABLE);
    }

    @Test
    void saysWhenTheEngineIsGone() {
        try (var server = new TestServer(serving, grpc.getPort(), EngineLimits.DEFAULT, Map.of())) {
            assertThat(health("")).isEqualTo(ServingStatus.SERVING);
            assertThat(ready()).isTrue();
            server.engine().close();
            assertThat(health("")).isEqualTo(ServingStatus.NOT_SERVING);
            assertThat(ready()).isFalse();
        }
    }

    @Test
    void reflectionListsTheServices() throws Exception {
        var answer = new CompletableFuture<ServerReflectionResponse>();
        var observer =
                new StreamObserver<ServerReflectionResponse>() {
                    @Override
                    public void onNext(ServerReflectionResponse response) {
                        answer.complete(response);
                    }

                    @Override
                    public void onError(Throwable error) {
                        answer.completeExceptionally(error);
                    }

                    @Override
                    public void onCompleted() {}
                };
        StreamObserver<ServerReflectionRequest> requests =
                ServerReflectionGrpc.newStub(channel).serverReflectionInfo(observer);
        requests.onNext(ServerReflectionRequest.newBuilder().setListServices("").build());
        ServerReflectionResponse response = answer.get(30, TimeUnit.SECONDS);
        requests.onCompleted();
        assertThat(response.getListServicesResponse().getServiceList())
                .extracting(ServiceResponse::getName)
                .contains("lithe.v1.GenerationService", "lithe.v1.ModelService");
    }
}
