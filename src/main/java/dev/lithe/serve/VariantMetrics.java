package dev.lithe.serve;

import dev.lithe.engine.Finish;
import dev.lithe.engine.ForwardingListener;
import dev.lithe.engine.GenerationListener;
import dev.lithe.fault.LitheException;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/// Speed and ends of one variant's requests. Times are from arrival, as the engine sees it, on one
/// clock; the buckets are vLLM's, with finer ones below for small models.
final class VariantMetrics {
    private static final double[] FIRST_TOKEN = {
        .001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160,
        640, 2560
    };
    private static final double[] PER_TOKEN = {
        .0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5,
        7.5, 10, 20, 40, 80
    };
    private static final double[] WHOLE = {
        .025, .05, .1, .2, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480,
        960, 1920, 7680
    };

    private final MeterRegistry registry;
    private final String variant;
    private final Timer firstToken;
    private final Timer interToken;
    private final Timer perToken;
    private final Timer whole;
    private final Timer queue;
    private final Counter promptTokens;
    private final Counter generationTokens;

    VariantMetrics(MeterRegistry registry, String variant) {
        this.registry = registry;
        this.variant = variant;
        this.firstToken = timer("lithe.time.to.first.token", FIRST_TOKEN);
        this.interToken = timer("lithe.inter.token.latency", PER_TOKEN);
        this.perToken = timer("lithe.time.per.output.token", PER_TOKEN);
        this.whole = timer("lithe.e2e.request.latency", WHOLE);
        this.queue = timer("lithe.request.queue.time", WHOLE);
        this.promptTokens = registry.counter("lithe.prompt.tokens", "variant", variant);
        this.generationTokens = registry.counter("lithe.generation.tokens", "variant", variant);
    }

    private Timer timer(String name, double[] buckets) {
        Duration[] objectives =
                Arrays.stream(buckets)
                        .mapToObj(seconds -> Duration.ofNanos(Math.round(seconds * 1e9)))
                        .toArray(Duration[]::new);
        return Timer.builder(name)
                .tag("variant", variant)
                .serviceLevelObjectives(objectives)
                .register(registry);
    }

    GenerationListener observe(GenerationListener listener) {
        return new Observed(listener);
    }

    private static void record(Timer timer, double millis) {
        timer.record((long) (millis * 1e6), TimeUnit.NANOSECONDS);
    }

    private final class Observed extends ForwardingListener {
        private long last;

        private Observed(GenerationListener listener) {
            super(listener);
        }

        @Override
        public void onStart(int tokens, long seed) {
            promptTokens.increment(tokens);
            super.onStart(tokens, seed);
        }

        @Override
        public void onDelta(String text, List<Integer> ids) {
            long now = System.nanoTime();
            if (last != 0) {
                interToken.record(now - last, TimeUnit.NANOSECONDS);
            }
            last = now;
            generationTokens.increment(ids.size());
            super.onDelta(text, ids);
        }

        @Override
        public void onFinish(Finish finish) {
            registry.counter(
                            "lithe.request.success",
                            "variant",
                            variant,
                            "finished_reason",
                            OpenAiAnswer.reason(finish.reason()))
                    .increment();
            record(queue, finish.queueMillis());
            record(firstToken, finish.firstTokenMillis());
            record(whole, finish.firstTokenMillis() + finish.decodeMillis());
            if (finish.outputTokens() > 1) {
                record(perToken, finish.decodeMillis() / (finish.outputTokens() - 1));
            }
            super.onFinish(finish);
        }

        @Override
        public void onError(LitheException error) {
            registry.counter(
                            "lithe.request.failure",
                            "variant",
                            variant,
                            "fault",
                            error.fault().name().toLowerCase(Locale.ROOT))
                    .increment();
            super.onError(error);
        }
    }
}
