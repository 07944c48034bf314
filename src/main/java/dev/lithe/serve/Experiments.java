package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.ForwardingListener;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.Ticket;
import dev.lithe.route.ExperimentOptions;
import dev.lithe.route.ExposureLog;
import dev.lithe.route.Route;
import dev.lithe.route.Shadow;
import io.quarkus.runtime.ShutdownEvent;
import jakarta.enterprise.event.Observes;
import jakarta.inject.Singleton;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;

/// What is watched of the requests of this process: by the exposure log, and by a shadow.
@Singleton
public class Experiments {
    private record Watchers(Optional<ExposureLog> log, Optional<Shadow> shadow) {}

    private final AtomicReference<Watchers> current =
            new AtomicReference<>(new Watchers(Optional.empty(), Optional.empty()));

    /// Watches requests to these models from now on.
    ///
    /// @throws dev.lithe.fault.LitheException where the shadow is no variant, or the file cannot be
    ///   written
    void configure(ExperimentOptions options, Serving.Models models) {
        Optional<Shadow> shadow =
                options.shadow()
                        .map(name ->
                                new Shadow(
                                        models.engine(),
                                        models.router().variant(name),
                                        options.shadowFraction(),
                                        new SplittableRandom()));
        var watchers = new Watchers(options.exposureLog().map(ExposureLog::open), shadow);
        close(current.getAndSet(watchers));
    }

    private static void close(Watchers watchers) {
        watchers.shadow().ifPresent(Shadow::close);
        watchers.log().ifPresent(ExposureLog::close);
    }

    Optional<Shadow> shadow() {
        return current.get().shadow();
    }

    /// Lines of the exposure log that were lost.
    long lostLines() {
        return current.get().log().map(ExposureLog::dropped).orElse(0L);
    }

    /// A listener that notes in the exposure log, where there is one, how a request ended, and that
    /// its variant answered.
    ///
    /// @param key of the request, or empty
    GenerationListener log(Route route, String requestId, String key, GenerationListener listener) {
        var counted =
                new ForwardingListener(listener) {
                    @Override
                    public void onFinish(Finish finish) {
                        route.answered().run();
                        super.onFinish(finish);
                    }
                };
        return current.get()
                .log()
                .<GenerationListener>map(log -> log.watch(route, requestId, key, counted))
                .orElse(counted);
    }

    /// Queues a request, and has a shadow answer a copy where there is one.
    Ticket submit(
            Serving.Models models,
            Route route,
            GenerationRequest request,
            GenerationListener listener) {
        Watchers watchers = current.get();
        if (watchers.shadow().isEmpty()) {
            return models.engine().submit(request, listener);
        }
        Shadow.Live live = watchers.shadow().get().watch(route, request, listener);
        try {
            return models.engine().submit(request, live);
        } catch (RuntimeException e) {
            live.abandon();
            throw e;
        }
    }

    void stop(@Observes ShutdownEvent event) {
        close(current.getAndSet(new Watchers(Optional.empty(), Optional.empty())));
    }
}
