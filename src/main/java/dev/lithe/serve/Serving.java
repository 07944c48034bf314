package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import io.quarkus.grpc.runtime.health.GrpcHealthStorage;
import io.quarkus.runtime.ShutdownEvent;
import io.quarkus.runtime.StartupEvent;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

/// What this process serves at the moment: nothing until [#publish], and nothing again once it
/// shuts down. The health service follows it.
@Singleton
public class Serving {
    private static final List<String> SERVICES =
            List.of(
                    "",
                    "lithe.v1.GenerationService",
                    "lithe.v1.ModelService",
                    "lithe.v1.ExperimentService",
                    "inference.GRPCInferenceService");

    /// A router and the engine that runs its variants.
    public record Models(Router router, Engine engine) {}

    private final AtomicReference<Optional<Models>> current =
            new AtomicReference<>(Optional.empty());
    private final GrpcHealthStorage health;
    private final Preparation preparation;

    Serving(GrpcHealthStorage health, Preparation preparation) {
        this.health = health;
        this.preparation = preparation;
    }

    /// Starts to answer requests with these models, which are loaded and warm. They are closed with
    /// the process.
    public void publish(Models models) {
        current.set(Optional.of(models));
        setHealth(ServingStatus.SERVING);
        models.engine().stopped().thenRun(() -> stopped(models));
    }

    /// An engine that broke answers nothing; probes should hear of it.
    private void stopped(Models models) {
        if (current.get().filter(models::equals).isPresent()) {
            setHealth(ServingStatus.NOT_SERVING);
        }
    }

    /// Stops to answer; health turns to `NOT_SERVING` first.
    ///
    /// @return what was served, for the caller to close
    public Optional<Models> withdraw() {
        setHealth(ServingStatus.NOT_SERVING);
        return current.getAndSet(Optional.empty());
    }

    /// What is served.
    ///
    /// @throws LitheException `UNAVAILABLE` before and after
    public Models models() {
        return current.get()
                .orElseThrow(() ->
                        LitheException.of(
                                Fault.UNAVAILABLE,
                                "the models are loading, or the server is shutting down;"
                                        + " try again when its health is SERVING"));
    }

    /// The engine, where one runs.
    Optional<Engine> engine() {
        return current.get().map(Models::engine);
    }

    /// Lets the engine look whether a reader can take more.
    void wake() {
        engine().ifPresent(Engine::wake);
    }

    /// Quarkus calls every service healthy once the port is open; there is nothing to serve yet.
    void start(@Observes StartupEvent event) {
        if (current.get().isEmpty()) {
            setHealth(ServingStatus.NOT_SERVING);
        }
    }

    private void setHealth(ServingStatus status) {
        SERVICES.forEach(service -> health.setStatus(service, status));
    }

    /// Closes the models once nobody uses them: a tokenizer that is closed under a thread would
    /// take the process down. Where one works on all the same, the end of the process frees it.
    void stop(@Observes ShutdownEvent event) {
        Optional<Models> served = withdraw();
        boolean unused = preparation.stop();
        served.ifPresent(models -> {
            models.engine().close();
            if (unused) {
                models.router().variants().forEach(Variant::close);
            }
        });
    }
}
