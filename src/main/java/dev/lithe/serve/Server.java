package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.engine.Speculation;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import dev.lithe.route.VariantSource;
import dev.lithe.tensor.Torch;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.runtime.Quarkus;
import io.quarkus.runtime.QuarkusApplication;
import io.quarkus.vertx.http.HttpServer;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Runs a server in this process. Its ports open first, so that probes and clients hear that it is
/// loading; then the models are loaded and warmed, and then it is ready.
public final class Server {
    private static final AtomicReference<@Nullable Server> STARTING = new AtomicReference<>();

    private final ServerOptions options;
    private final Consumer<Address> ready;
    private final AtomicReference<@Nullable RuntimeException> failure = new AtomicReference<>();

    /// Milliseconds that the process had run when its command line was read.
    private final long uptime = ManagementFactory.getRuntimeMXBean().getUptime();

    /// Where a server listens.
    public record Address(String host, int grpcPort, int httpPort) {
        /// `host:port` for gRPC clients.
        public String grpc() {
            return bracketed() + ":" + grpcPort;
        }

        /// `host:port` for HTTP clients.
        public String http() {
            return bracketed() + ":" + httpPort;
        }

        /// An IPv6 address needs brackets before a port.
        private String bracketed() {
            return host.contains(":") && !host.startsWith("[") ? "[" + host + "]" : host;
        }
    }

    private Server(ServerOptions options, Consumer<Address> ready) {
        this.options = options;
        this.ready = ready;
    }

    /// Serves until the process is told to stop. Once per process.
    ///
    /// @param ready hears when all models answer
    /// @throws LitheException where a port is taken or a model cannot be loaded
    public static void run(ServerOptions options, Consumer<Address> ready) {
        options.requireFreePorts();
        var server = new Server(options, ready);
        if (!STARTING.compareAndSet(null, server)) {
            throw LitheException.of(Fault.INTERNAL, "a process runs one server only");
        }
        server.configure();
        Quarkus.run(Application.class, (_, error) -> server.failed(error));
        RuntimeException failure = server.failure.get();
        if (failure != null) {
            throw failure;
        }
    }

    private void configure() {
        System.setProperty("quarkus.grpc.server.host", options.host());
        System.setProperty("quarkus.grpc.server.port", Integer.toString(options.grpcPort()));
        System.setProperty("quarkus.http.host", options.host());
        System.setProperty("quarkus.http.port", Integer.toString(options.httpPort()));
        AccessOptions access = options.access();
        set("lithe.tls.certificate", access.certificate());
        set("lithe.tls.key", access.key());
        set("lithe.tls.client-ca", access.clientCa());
        set("lithe.tokens", access.tokens());
        // Quarkus writes these two over what Tls sets.
        if (access.certificate().isPresent()) {
            System.setProperty("quarkus.grpc.server.plain-text", "false");
        }
        if (access.clientCa().isPresent()) {
            System.setProperty("quarkus.grpc.server.ssl.client-auth", "required");
        }
        System.setProperty(
                "lithe.requests-per-second", Double.toString(access.requestsPerSecond()));
        if (options.verbose()) {
            System.setProperty("quarkus.log.level", "INFO");
        }
        if (options.observe().jsonLog()) {
            System.setProperty("quarkus.log.console.json.enabled", "true");
            System.setProperty("quarkus.log.category.\"dev.lithe\".level", "INFO");
        }
        options.observe()
                .traces()
                .ifPresent(to -> {
                    System.setProperty("quarkus.otel.sdk.disabled", "false");
                    System.setProperty("quarkus.otel.exporter.otlp.endpoint", to.toString());
                });
    }

    private static void set(String property, Optional<Path> file) {
        file.ifPresent(path -> System.setProperty(property, path.toAbsolutePath().toString()));
    }

    private void failed(@Nullable Throwable error) {
        if (error != null) {
            RuntimeException known =
                    error instanceof LitheException lithe
                            ? lithe
                            : LitheException.internal("the server did not start: " + error, error);
            failure.compareAndSet(null, known);
        }
    }

    /// What Quarkus runs once its ports are open.
    public static final class Application implements QuarkusApplication {
        private final Serving serving;
        private final Experiments experiments;
        private final GrpcServer grpc;
        private final HttpServer http;

        Application(Serving serving, Experiments experiments, GrpcServer grpc, HttpServer http) {
            this.serving = serving;
            this.experiments = experiments;
            this.grpc = grpc;
            this.http = http;
        }

        @Override
        public int run(String... arguments) {
            Server server = STARTING.get();
            if (server == null) {
                return 1;
            }
            try {
                serving.drainWithin(server.options.drain());
                var start = new StartUp(server.uptime);
                start.done("ports open");
                Serving.Models models = server.load(start);
                experiments.configure(server.options.experiment(), models);
                serving.publish(models);
                start.done("serving");
                server.ready.accept(
                        new Address(server.options.host(), grpc.getPort(), http.getPort()));
            } catch (RuntimeException e) {
                server.failed(e);
                return 1;
            }
            Quarkus.waitForExit();
            return 0;
        }
    }

    private Serving.Models load(StartUp start) {
        List<Variant> variants = new ArrayList<>();
        try {
            for (VariantSource source : options.variants()) {
                Variant variant = Torch.onOwnThread(source::open);
                variants.add(variant);
                start.done(
                        "checkpoint, weights and kernels of "
                                + variant.name()
                                + " "
                                + variant.model().decoder().kernels());
            }
            var router = new Router(variants, options.weights(), new SplittableRandom());
            var models = new Serving.Models(router, warmEngine(variants, options));
            start.done("warm-up");
            return models;
        } catch (RuntimeException e) {
            variants.forEach(Variant::close);
            throw e;
        }
    }

    private static Speculation speculation(List<Variant> variants, DraftOptions draft) {
        Variant guesser =
                variants.stream()
                        .filter(each -> each.name().equals(draft.variant()))
                        .findFirst()
                        .orElseThrow();
        return new Speculation(variants.getFirst().model(), guesser.model(), draft.most());
    }

    private static Engine warmEngine(List<Variant> variants, ServerOptions options) {
        var engine = new Engine(options.limits());
        try {
            options.draft().ifPresent(draft -> engine.speculate(speculation(variants, draft)));
            variants.forEach(variant -> WarmUp.run(engine, variant.model()));
            return engine;
        } catch (RuntimeException e) {
            engine.close();
            throw e;
        }
    }
}
