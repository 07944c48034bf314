package dev.lithe.serve;

import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.Ticket;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.route.Route;
import jakarta.inject.Singleton;
import java.util.OptionalLong;
import java.util.function.Function;

/// The way of every generation, whatever protocol it came by: a variant is chosen, the request is
/// checked and queued, and what comes of it is counted.
@Singleton
class Generations {
    private final Serving serving;
    private final EngineMetrics metrics;
    private final Experiments experiments;

    Generations(Serving serving, EngineMetrics metrics, Experiments experiments) {
        this.serving = serving;
        this.metrics = metrics;
        this.experiments = experiments;
    }

    /// The variant for a request that names `variant`, or none where that is empty.
    Route route(String variant, CallVariant.Choice choice) {
        Route route = serving.models().router().route(variant, choice.asked(), choice.key());
        choice.chose(route.variant().name());
        return route;
    }

    /// The variant for a request that names a model; see [ModelNames].
    Route routeModel(String model, CallVariant.Choice choice) {
        return route(ModelNames.variant(serving.models().router(), model), choice);
    }

    /// Routes a request and queues it.
    ///
    /// @param deadline when the client's time runs out, on the clock of [System#nanoTime]
    /// @param sink what hears of it, given the route
    Ticket submit(
            GenerationInput input,
            CallVariant.Choice choice,
            OptionalLong deadline,
            Function<Route, GenerationListener> sink) {
        Requests.checkId(input.getRequestId());
        Route route = route(input.getVariant(), choice);
        return submit(input, route, choice, deadline, sink.apply(route));
    }

    /// Queues a request that has its route. A refusal is heard like any other end, so that it is
    /// counted and logged with the variant that it was meant for.
    Ticket submit(
            GenerationInput input,
            Route route,
            CallVariant.Choice choice,
            OptionalLong deadline,
            GenerationListener sink) {
        Requests.checkId(input.getRequestId());
        String id = input.getRequestId().isEmpty() ? choice.record().id() : input.getRequestId();
        String variant = route.variant().name();
        GenerationListener listener =
                experiments.log(
                        route,
                        id,
                        choice.key(),
                        metrics.observe(variant, choice.record().observe(input, variant, sink)));
        try {
            var request = Requests.of(input, route.variant().model(), deadline);
            return experiments.submit(serving.models(), route, request, listener);
        } catch (LitheException e) {
            listener.onError(e);
            return () -> {};
        }
    }
}
