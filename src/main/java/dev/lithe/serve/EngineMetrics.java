package dev.lithe.serve;

import dev.lithe.engine.Engine;
import dev.lithe.engine.Finish;
import dev.lithe.engine.ForwardingListener;
import dev.lithe.engine.GenerationListener;
import dev.lithe.fault.LitheException;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import jakarta.inject.Singleton;
import java.time.Duration;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/// What an operator watches: load, speed per variant, and how requests end.
@Singleton
class EngineMetrics implements MeterBinder {
    private final Serving serving;
    private final MeterRegistry registry;

    EngineMetrics(Serving serving, MeterRegistry registry) {
        this.serving = serving;
        this.registry = registry;
    }

    @Override
    public void bindTo(MeterRegistry target) {
        Gauge.builder("lithe.requests.running", () -> engine(Engine::running)).register(target);
        Gauge.builder("lithe.requests.waiting", () -> engine(Engine::waiting)).register(target);
        FunctionCounter.builder("lithe.tokens", this, metrics -> metrics.engine(Engine::steps))
                .register(target);
    }

    private double engine(ToDoubleFunction<Engine> measure) {
        return serving.engine().map(measure::applyAsDouble).orElse(0.0);
    }

    /// A listener that counts what it passes on.
    GenerationListener observe(String variant, GenerationListener listener) {
        return new Observed(variant, listener);
    }

    private void count(String variant, String end) {
        registry.counter("lithe.requests", "variant", variant, "end", end).increment();
    }

    private void time(String name, String variant, double millis) {
        registry.timer(name, "variant", variant).record(Duration.ofNanos((long) (millis * 1e6)));
    }

    private final class Observed extends ForwardingListener {
        private final String variant;

        private Observed(String variant, GenerationListener listener) {
            super(listener);
            this.variant = variant;
        }

        @Override
        public void onFinish(Finish finish) {
            count(variant, finish.reason().name().toLowerCase(Locale.ROOT));
            time("lithe.queue", variant, finish.queueMillis());
            time("lithe.time.to.first.token", variant, finish.firstTokenMillis());
            if (finish.outputTokens() > 1) {
                double perToken = finish.decodeMillis() / (finish.outputTokens() - 1);
                time("lithe.time.per.token", variant, perToken);
            }
            super.onFinish(finish);
        }

        @Override
        public void onError(LitheException error) {
            count(variant, error.fault().name().toLowerCase(Locale.ROOT));
            super.onError(error);
        }
    }
}
