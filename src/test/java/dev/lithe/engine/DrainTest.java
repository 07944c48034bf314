package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/// The end of an engine, and requests that cannot be answered in time.
class DrainTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static ServedModel model;

    @BeforeAll
    static void load() {
        model = ServedModel.open(DEMO);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static EngineLimits limits(int running) {
        return new EngineLimits(64, running, 1 << 30, Duration.ofSeconds(60)).withPrefillChunk(64);
    }

    private static GenerationRequest request(int tokens, OptionalLong deadline) {
        return new GenerationRequest(
                model,
                List.of(0, 5, 9),
                SamplingOptions.GREEDY,
                StopRules.exactly(tokens),
                deadline);
    }

    private static Fault refusal(Engine engine, GenerationRequest request) {
        try {
            engine.submit(request, new Recorder());
            return Fault.INTERNAL;
        } catch (LitheException e) {
            return e.fault();
        }
    }

    @Test
    void losesNothingThatItAccepted() {
        try (var engine = new Engine(limits(4))) {
            List<Recorder> accepted = new ArrayList<>();
            for (int i = 0; i < 24; i++) {
                accepted.add(new Recorder());
                engine.submit(request(30, OptionalLong.empty()), accepted.getLast());
            }
            assertThat(engine.drain(Duration.ofSeconds(60))).isTrue();
            accepted.forEach(each -> assertThat(each.finish().outputTokens()).isEqualTo(30));
            assertThat(refusal(engine, request(1, OptionalLong.empty())))
                    .isEqualTo(Fault.UNAVAILABLE);
            assertThat(engine.cacheBytes()).isZero();
        }
    }

    @Test
    void refusesNewcomersAtOnceAndEndsWhatTakesTooLong() {
        try (var engine = new Engine(limits(4))) {
            var refused = new AtomicBoolean();
            var endless =
                    new Recorder() {
                        @Override
                        public boolean ready() {
                            refused.compareAndSet(
                                    false,
                                    refusal(engine, request(1, OptionalLong.empty()))
                                            == Fault.UNAVAILABLE);
                            return ids.size() < 3;
                        }
                    };
            engine.submit(request(50, OptionalLong.empty()), endless);
            assertThat(engine.drain(Duration.ofMillis(200))).isFalse();
            assertThat(endless.error().fault()).isEqualTo(Fault.UNAVAILABLE);
            assertThat(refused).isTrue();
        }
    }

    @Test
    void anAnswerThatTakesTooLongIsNotBegun() {
        try (var engine = new Engine(limits(4))) {
            var recorder = new Recorder();
            long soon = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            engine.submit(request(2, OptionalLong.of(soon)), recorder);
            assertThat(recorder.finish().outputTokens()).isEqualTo(2);
            var late = new Recorder();
            long tooSoon = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(20);
            engine.submit(request(500, OptionalLong.of(tooSoon)), late);
            assertThat(late.error().fault()).isEqualTo(Fault.DEADLINE);
            assertThat(late.ids).isEmpty();
        }
    }

    @Test
    void theQueueIsHeldAgainstDeadlines() {
        var backlog = new Backlog(4);
        for (int i = 0; i < 50; i++) {
            backlog.served(TimeUnit.SECONDS.toNanos(2));
        }
        long soon = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        backlog.check(request(1, OptionalLong.of(soon)), 8);
        backlog.check(request(1, OptionalLong.empty()), 60);
        assertThatThrownBy(() -> backlog.check(request(1, OptionalLong.of(soon)), 60))
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.EXHAUSTED))
                .hasMessageContaining("60 requests wait");
    }
}
