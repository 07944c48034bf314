package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.engine.SpeculationCounts;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import io.quarkus.grpc.runtime.health.GrpcHealthStorage;
import io.quarkus.runtime.ShutdownDelayInitiatedEvent;
import io.quarkus.runtime.StartupEvent;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

/// What this process serves at the moment: nothing until [#publish], and nothing again once it
/// shuts down. The health service follows it.
@Singleton
public class Serving {
    /// Least that a client gets to take the end of its answer once it is computed.
    private static final Duration LAST_BYTES = Duration.ofSeconds(2);

    private static final System.Logger LOG = System.getLogger(Serving.class.getName());

    private static final List<String> SERVICES =
            List.of(
                    "",
                    "lithe.v1.GenerationService",
                    "lithe.v1.ModelService",
                    "lithe.v1.ExperimentService",
                    "inference.GRPCInferenceService");

    /// A router and the engine that runs its variants.
    public record Models(Router router, Engine engine) {
        /// A variant that gets few requests by weight still answers those that name it.
        private static final double LEAST_SHARE = 0.05;

        /// Shares requests out anew, and the machine's time with them.
        ///
        /// @throws LitheException where the weights are wrong, which changes nothing
        void reweigh(Map<String, Double> weights) {
            router.reweigh(weights);
            shareTime();
        }

        /// Gives variants the machine's time in proportion to their weights, where several have
        /// work; to be told again when weights change.
        void shareTime() {
            List<Variant> variants = router.variants();
            for (Variant variant : variants) {
                double share = Math.max(LEAST_SHARE, router.share(variant.name()));
                engine.weigh(variant.model(), share * variants.size());
            }
        }
    }

    private final AtomicReference<Optional<Models>> current =
            new AtomicReference<>(Optional.empty());
    private final GrpcHealthStorage health;
    private final Preparation preparation;
    private final CallRecords calls;
    private volatile boolean ready;
    private volatile Duration drain = ServerOptions.DEFAULT_DRAIN;

    Serving(GrpcHealthStorage health, Preparation preparation, CallRecords calls) {
        this.health = health;
        this.preparation = preparation;
        this.calls = calls;
    }

    /// Starts to answer requests with these models, which are loaded and warm. They are closed with
    /// the process.
    public void publish(Models models) {
        models.shareTime();
        current.set(Optional.of(models));
        setHealth(ServingStatus.SERVING);
        models.engine().stopped().thenRun(() -> stopped(models));
    }

    /// How long requests may go on once the process is told to stop.
    void drainWithin(Duration limit) {
        drain = limit;
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

    /// What guessing for the first variant has brought, where another one does.
    Optional<SpeculationCounts> speculation() {
        return current.get()
                .flatMap(models -> models.engine().speculation(models.router().first().model()));
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

    /// Whether requests are answered: the models are loaded, the engine runs, nothing shuts down.
    boolean ready() {
        return ready;
    }

    private void setHealth(ServingStatus status) {
        ready = status == ServingStatus.SERVING;
        SERVICES.forEach(service -> health.setStatus(service, status));
    }

    /// Finishes what was begun, for as long as [#drainWithin] says, while health is `NOT_SERVING`
    /// and newcomers get `UNAVAILABLE`; a second signal ends the process at once. Then closes the
    /// models, unless somebody uses them still: a tokenizer that is closed under a thread would
    /// take the process down, and the end of the process frees it anyway. Comes before the ports
    /// close, as HTTP's would at [io.quarkus.runtime.ShutdownEvent].
    void stop(@Observes ShutdownDelayInitiatedEvent event) {
        setHealth(ServingStatus.NOT_SERVING);
        if (current.get().isEmpty()) {
            preparation.stop(drain);
            return;
        }
        Signals.endAtOnce();
        long start = System.nanoTime();
        boolean unused = preparation.stop(drain);
        withdraw()
                .ifPresent(models -> {
                    boolean done =
                            models.engine().drain(drain.minusNanos(System.nanoTime() - start));
                    if (!done) {
                        LOG.log(
                                Level.WARNING,
                                "requests were cut off after {0} s",
                                drain.toSeconds());
                    }
                    Duration left = drain.minusNanos(System.nanoTime() - start);
                    calls.awaitHttp(left.compareTo(LAST_BYTES) > 0 ? left : LAST_BYTES);
                    if (unused) {
                        models.router().variants().forEach(Variant::close);
                    }
                });
    }
}
