package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.engine.EngineLimits;
import dev.lithe.proto.v1.GenerationServiceGrpc;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceFutureStub;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceStub;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import dev.lithe.tensor.Device;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/// The demo model, served twice under two names, and a client of it.
final class TestServer implements AutoCloseable {
    static final Path DEMO = Path.of("src/main/resources/demo");

    private final Serving serving;
    private final Serving.Models models;
    private final ManagedChannel channel;

    TestServer(Serving serving, int port, EngineLimits limits, Map<String, Double> weights) {
        this(serving, port, limits, weights, DEMO);
    }

    /// @param other the folder of the second variant
    TestServer(
            Serving serving,
            int port,
            EngineLimits limits,
            Map<String, Double> weights,
            Path other) {
        this(serving, port, limits, weights, Variant.open("other", other, Device.CPU));
    }

    private TestServer(
            Serving serving,
            int port,
            EngineLimits limits,
            Map<String, Double> weights,
            Variant other) {
        this.serving = serving;
        var router =
                new Router(
                        List.of(Variant.open("original", DEMO, Device.CPU), other),
                        weights,
                        new SplittableRandom(7));
        this.models = new Serving.Models(router, new Engine(limits));
        this.channel = channel(port);
        serving.publish(models);
    }

    /// The demo model beside what was made of it.
    static TestServer compressed(Serving serving, int port, Path folder) {
        Variant variant = Variant.open("compressed", folder, Device.CPU);
        return new TestServer(serving, port, EngineLimits.DEFAULT, Map.of(), variant);
    }

    static ManagedChannel channel(int port) {
        return Grpc.newChannelBuilder("127.0.0.1:" + port, InsecureChannelCredentials.create())
                .build();
    }

    ManagedChannel channel() {
        return channel;
    }

    Engine engine() {
        return models.engine();
    }

    Router router() {
        return models.router();
    }

    GenerationServiceBlockingStub blocking() {
        return GenerationServiceGrpc.newBlockingStub(channel);
    }

    GenerationServiceStub async() {
        return GenerationServiceGrpc.newStub(channel);
    }

    GenerationServiceFutureStub future() {
        return GenerationServiceGrpc.newFutureStub(channel);
    }

    @Override
    public void close() {
        channel.shutdownNow();
        serving.withdraw();
        models.engine().close();
        models.router().variants().forEach(Variant::close);
    }
}
