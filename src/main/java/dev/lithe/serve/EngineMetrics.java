package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.SpeculationCounts;
import dev.lithe.route.Shadow;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import jakarta.inject.Singleton;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;

/// What an operator watches: load, speed per variant, and how requests end. Names end as vLLM's do,
/// so that its dashboards need another prefix only.
@Singleton
class EngineMetrics implements MeterBinder {
    private final Serving serving;
    private final Experiments experiments;
    private final MeterRegistry registry;
    private final Map<String, VariantMetrics> variants = new ConcurrentHashMap<>();

    EngineMetrics(Serving serving, Experiments experiments, MeterRegistry registry) {
        this.serving = serving;
        this.experiments = experiments;
        this.registry = registry;
    }

    @Override
    public void bindTo(MeterRegistry target) {
        Gauge.builder("lithe.num.requests.running", () -> engine(Engine::running)).register(target);
        Gauge.builder("lithe.num.requests.waiting", () -> engine(Engine::waiting)).register(target);
        Gauge.builder("lithe.kv.cache.usage.perc", () -> engine(EngineMetrics::cacheUsage))
                .description("part of the memory for keys and values that is in use, from 0 to 1")
                .register(target);
        Gauge.builder("lithe.sample.ratio.p.value", this, metrics -> metrics.sampleRatio())
                .register(target);
        copies(target, "completed", Shadow.Counts::completed);
        copies(target, "dropped", Shadow.Counts::dropped);
        tokens(target, "compared", Shadow.Counts::compared);
        tokens(target, "same", Shadow.Counts::same);
        guesses(target, "drafts", SpeculationCounts::drafts);
        guesses(target, "draft.tokens", SpeculationCounts::draftTokens);
        guesses(target, "accepted.tokens", SpeculationCounts::acceptedTokens);
        Gauge.builder("lithe.spec.decode.speedup", () -> guessed(SpeculationCounts::speedup, 1))
                .description(
                        "time per token of plain steps over that of steps with guesses, lately")
                .register(target);
        Gauge.builder("lithe.spec.decode.active", () -> guessed(each -> each.active() ? 1 : 0, 0))
                .description(
                        "0 while guessing is off because it does not pay, or was not asked for")
                .register(target);
        FunctionCounter.builder("lithe.exposures.lost", experiments, Experiments::lostLines)
                .register(target);
    }

    private void guesses(
            MeterRegistry target, String what, ToDoubleFunction<SpeculationCounts> count) {
        FunctionCounter.builder(
                        "lithe.spec.decode.num." + what, this, each -> each.guessed(count, 0))
                .register(target);
    }

    private double guessed(ToDoubleFunction<SpeculationCounts> measure, double otherwise) {
        return serving.speculation().map(measure::applyAsDouble).orElse(otherwise);
    }

    private double engine(ToDoubleFunction<Engine> measure) {
        return serving.engine().map(measure::applyAsDouble).orElse(0.0);
    }

    private static double cacheUsage(Engine engine) {
        return engine.cacheBytes() / (double) engine.limits().cacheBytes();
    }

    /// 1 where nothing is served.
    private double sampleRatio() {
        return serving.engine().isPresent() ? serving.models().router().sampleRatio().pValue() : 1;
    }

    private void copies(MeterRegistry target, String result, ToLongFunction<Shadow.Counts> count) {
        FunctionCounter.builder("lithe.shadow.requests", experiments, each -> shadow(each, count))
                .tag("result", result)
                .register(target);
    }

    private void tokens(MeterRegistry target, String what, ToLongFunction<Shadow.Counts> count) {
        FunctionCounter.builder(
                        "lithe.shadow." + what + ".tokens",
                        experiments,
                        each -> shadow(each, count))
                .register(target);
    }

    private static double shadow(Experiments experiments, ToLongFunction<Shadow.Counts> count) {
        return experiments.shadow().map(Shadow::counts).map(count::applyAsLong).orElse(0L);
    }

    /// A listener that counts what it passes on.
    GenerationListener observe(String variant, GenerationListener listener) {
        return variants.computeIfAbsent(variant, name -> new VariantMetrics(registry, name))
                .observe(listener);
    }
}
