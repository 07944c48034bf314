package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.PlainLoop;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class EngineTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final EngineLimits SMALL = limits(2, 2);
    private static ServedModel model;

    private static EngineLimits limits(int queue, int running) {
        return new EngineLimits(
                queue, running, EngineLimits.DEFAULT.cacheBytes(), EngineLimits.DEFAULT.stall());
    }

    @BeforeAll
    static void load() {
        model = ServedModel.open(DEMO);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static GenerationRequest request(String text, StopRules stop) {
        return request(text, SamplingOptions.GREEDY, stop, OptionalLong.empty());
    }

    private static GenerationRequest request(
            String text, SamplingOptions sampling, StopRules stop, OptionalLong deadline) {
        List<Integer> ids = Arrays.stream(model.tokenizer().encode(text, true)).boxed().toList();
        return new GenerationRequest(model, ids, sampling, stop, deadline);
    }

    private static List<Integer> plain(String text, int tokens) {
        int[] ids = model.tokenizer().encode(text, true);
        return Arrays.stream(PlainLoop.greedy(model.decoder(), ids, tokens)).boxed().toList();
    }

    /// Waits, on the engine's thread, until the test lets it go on; `gate` starts closed.
    private static final class Gated extends Recorder {
        final CountDownLatch reached = new CountDownLatch(1);
        final CountDownLatch gate = new CountDownLatch(1);

        @Override
        public void onDelta(String delta, List<Integer> newIds) {
            super.onDelta(delta, newIds);
            reached.countDown();
            try {
                if (!gate.await(60, TimeUnit.SECONDS)) {
                    throw new AssertionError("the gate stayed closed");
                }
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void severalAtOnceAnswerAsEachAlone() {
        List<String> prompts =
                List.of("Once upon a time", "Tom and his dog", "The sun", "Lily had a red ball.");
        List<Recorder> recorders = new ArrayList<>();
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            for (String prompt : prompts) {
                var recorder = new Recorder();
                engine.submit(request(prompt, StopRules.exactly(24)), recorder);
                recorders.add(recorder);
            }
            recorders.forEach(Recorder::finish);
        }
        for (int i = 0; i < prompts.size(); i++) {
            List<Integer> expected = plain(prompts.get(i), 24);
            assertThat(recorders.get(i).ids).isEqualTo(expected);
            int[] ids = expected.stream().mapToInt(Integer::intValue).toArray();
            assertThat(recorders.get(i).text.toString()).isEqualTo(model.tokenizer().decode(ids));
        }
    }

    @Test
    void sequencesTakeTurns() {
        try (var engine = new Engine(SMALL)) {
            var order = new ArrayList<String>();
            var first = new Gated();
            engine.submit(request("One", StopRules.exactly(1)), first);
            List<Recorder> both = new ArrayList<>();
            for (String name : List.of("a", "b")) {
                var recorder =
                        new Recorder() {
                            @Override
                            public void onDelta(String delta, List<Integer> newIds) {
                                super.onDelta(delta, newIds);
                                order.add(name);
                            }
                        };
                both.add(recorder);
            }
            await(first.reached);
            both.forEach(each -> engine.submit(request("Once", StopRules.exactly(3)), each));
            first.gate.countDown();
            both.forEach(Recorder::finish);
            assertThat(order).containsExactly("a", "b", "a", "b", "a", "b");
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(60, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aCancelledSequenceComputesNoFurtherToken() {
        try (var engine = new Engine(SMALL)) {
            var recorder = new Gated();
            Ticket ticket = engine.submit(request("Once", StopRules.exactly(100)), recorder);
            await(recorder.reached);
            ticket.cancel();
            recorder.gate.countDown();
            assertThat(recorder.error().fault()).isEqualTo(Fault.CANCELLED);
            assertThat(recorder.ids).hasSize(1);
            assertThat(engine.steps()).isEqualTo(1);
            ticket.cancel();
            var next = new Recorder();
            engine.submit(request("Once", StopRules.exactly(2)), next);
            next.finish();
        }
    }

    @Test
    void deadlinesEndRunningAndWaitingRequests() {
        try (var engine = new Engine(limits(2, 1))) {
            var first = new Recorder(); // the model is measured before its first token
            engine.submit(request("Once", StopRules.exactly(1)), first);
            first.finish();
            var running = new Gated();
            var waiting = new Recorder();
            OptionalLong soon =
                    OptionalLong.of(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1000));
            StopRules many = StopRules.length(500);
            engine.submit(request("Once", SamplingOptions.GREEDY, many, soon), running);
            engine.submit(request("Once", SamplingOptions.GREEDY, many, soon), waiting);
            await(running.reached);
            while (System.nanoTime() < soon.getAsLong()) {
                Thread.onSpinWait();
            }
            running.gate.countDown();
            assertThat(running.error().fault()).isEqualTo(Fault.DEADLINE);
            assertThat(waiting.error().fault()).isEqualTo(Fault.DEADLINE);
            assertThat(running.ids).hasSize(1);
            assertThat(waiting.ids).isEmpty();
            assertThat(engine.steps()).isEqualTo(2);
        }
    }

    @Test
    void aFullQueueRefuses() {
        try (var engine = new Engine(limits(1, 1))) {
            var running = new Gated();
            engine.submit(request("Once", StopRules.exactly(2)), running);
            await(running.reached);
            var waiting = new Recorder();
            engine.submit(request("Once", StopRules.exactly(2)), waiting);
            assertThatThrownBy(() ->
                            engine.submit(request("Once", StopRules.exactly(2)), new Recorder()))
                    .isInstanceOfSatisfying(
                            LitheException.class,
                            e -> assertThat(e.fault()).isEqualTo(Fault.EXHAUSTED));
            running.gate.countDown();
            running.finish();
            waiting.finish();
        }
    }

    @Test
    void aBrokenListenerTakesNobodyDown() {
        try (var engine = new Engine(SMALL)) {
            var broken =
                    new Recorder() {
                        @Override
                        public void onDelta(String delta, List<Integer> newIds) {
                            throw new IllegalStateException("broken");
                        }
                    };
            var healthy = new Recorder();
            engine.submit(request("Once", StopRules.exactly(20)), broken);
            engine.submit(request("Once", StopRules.exactly(20)), healthy);
            assertThat(broken.error().fault()).isEqualTo(Fault.INTERNAL);
            assertThat(healthy.finish().outputTokens()).isEqualTo(20);
            assertThat(engine.stopped().toCompletableFuture()).isNotDone();
        }
    }

    @Test
    void aListenerThatIsNotReadyIsNotComputedFor() {
        try (var engine = new Engine(SMALL)) {
            var room = new AtomicInteger(3);
            var slow =
                    new Recorder() {
                        @Override
                        public boolean ready() {
                            return room.get() > 0;
                        }

                        @Override
                        public void onDelta(String delta, List<Integer> newIds) {
                            super.onDelta(delta, newIds);
                            room.decrementAndGet();
                        }
                    };
            engine.submit(request("Once", StopRules.exactly(5)), slow);
            var other = new Recorder();
            engine.submit(request("Once", StopRules.exactly(30)), other);
            other.finish();
            assertThat(slow.finished).isNotDone();
            assertThat(engine.steps()).isEqualTo(33);
            room.set(10);
            engine.wake();
            assertThat(slow.finish().outputTokens()).isEqualTo(5);
        }
    }

    @Test
    void aReaderThatStallsTooLongIsDropped() {
        try (var engine = new Engine(new EngineLimits(1, 1, 1 << 30, Duration.ofMillis(50)))) {
            var stalled =
                    new Recorder() {
                        @Override
                        public boolean ready() {
                            return false;
                        }
                    };
            engine.submit(request("Once", StopRules.exactly(5)), stalled);
            assertThat(stalled.error().fault()).isEqualTo(Fault.EXHAUSTED);
        }
    }

    @Test
    void anEngineThatBreaksTellsEverybody() {
        try (var engine = new Engine(SMALL)) {
            var other = new Recorder();
            engine.submit(request("Once", StopRules.exactly(500)), other);
            var fatal =
                    new Recorder() {
                        @Override
                        public void onDelta(String delta, List<Integer> newIds) {
                            throw new LinkageError("broken");
                        }
                    };
            engine.submit(request("Once", StopRules.exactly(2)), fatal);
            assertThat(other.error().fault()).isEqualTo(Fault.INTERNAL);
            assertThat(fatal.error().fault()).isEqualTo(Fault.INTERNAL);
            engine.stopped().toCompletableFuture().orTimeout(60, TimeUnit.SECONDS).join();
            assertThatThrownBy(
                            () -> engine.submit(request("x", StopRules.exactly(1)), new Recorder()))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("restart");
        }
    }

    @Test
    void memoryOfCachesIsBounded() {
        GenerationRequest small = request("Once", StopRules.exactly(20));
        long both = 2 * small.cacheBytes();
        try (var engine = new Engine(new EngineLimits(9, 9, both, Duration.ofSeconds(60)))) {
            var first = new Gated();
            engine.submit(small, first);
            await(first.reached);
            List<Recorder> more = List.of(new Recorder(), new Recorder(), new Recorder());
            more.forEach(each -> engine.submit(small, each));
            first.gate.countDown();
            more.getFirst().finish();
            more.forEach(Recorder::finish);
            var tooBig = request("Once", StopRules.exactly(400));
            assertThatThrownBy(() -> engine.submit(tooBig, new Recorder()))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("max_new_tokens");
        }
        try (var session = Session.open(model.decoder(), small.capacity())) {
            assertThat(session.cacheBytes()).isEqualTo(small.cacheBytes());
        }
    }

    @Test
    void whatNobodyWaitsForGivesUpItsPlace() {
        try (var engine = new Engine(limits(2, 1))) {
            var copy = new Gated();
            engine.submitInBackground(request("Once", StopRules.exactly(400)), copy);
            await(copy.reached);
            var live = new Recorder();
            engine.submit(request("Once", StopRules.exactly(3)), live);
            copy.gate.countDown();
            assertThat(live.finish().outputTokens()).isEqualTo(3);
            assertThat(copy.error().fault()).isEqualTo(Fault.EXHAUSTED);
            assertThat(copy.ids).hasSize(1);
        }
    }

    @Test
    void whatNobodyWaitsForGivesUpItsMemory() {
        GenerationRequest large = request("Once", StopRules.exactly(100));
        long bytes = large.cacheBytes() * 3 / 2;
        try (var engine = new Engine(new EngineLimits(9, 9, bytes, Duration.ofSeconds(60)))) {
            var copy = new Gated();
            engine.submitInBackground(large, copy);
            await(copy.reached);
            var live = new Recorder();
            engine.submit(large, live);
            copy.gate.countDown();
            assertThat(live.finish().outputTokens()).isEqualTo(100);
            assertThat(copy.error().fault()).isEqualTo(Fault.EXHAUSTED);
            var next = new Recorder();
            engine.submitInBackground(large, next);
            assertThat(next.finish().outputTokens()).isEqualTo(100);
        }
    }

    @Test
    void theBackgroundBeginsWhenNobodyWaits() {
        try (var engine = new Engine(limits(2, 1))) {
            var live = new Gated();
            engine.submit(request("Once", StopRules.exactly(2)), live);
            await(live.reached);
            var copy = new Recorder();
            engine.submitInBackground(request("Once", StopRules.exactly(2)), copy);
            assertThatThrownBy(() ->
                            engine.submitInBackground(
                                    request("Once", StopRules.exactly(2)), new Recorder()))
                    .isInstanceOfSatisfying(
                            LitheException.class,
                            e -> assertThat(e.fault()).isEqualTo(Fault.EXHAUSTED));
            var later = new Recorder();
            engine.submit(request("Once", StopRules.exactly(2)), later);
            assertThat(copy.started).isNotDone();
            live.gate.countDown();
            later.finish();
            copy.finish();
        }
    }

    @Test
    void aTextToScoreIsNotStarvedOfMemory() {
        GenerationRequest small = request("Once", StopRules.exactly(100));
        long bytes = small.cacheBytes() * 3 / 2;
        var limits = new EngineLimits(9, 9, bytes, Duration.ofSeconds(60)).withReusePrefixes(false);
        try (var engine = new Engine(limits)) {
            var running = new Gated();
            engine.submit(small, running);
            await(running.reached);
            List<Integer> ids = Collections.nCopies(small.capacity(), 5);
            var order = Collections.synchronizedList(new ArrayList<String>());
            var scored = new CountDownLatch(1);
            engine.score(
                    new ScoreRequest(model, ids, 1, 0, OptionalLong.empty()),
                    new ScoreListener() {
                        @Override
                        public void onScored(List<TokenLogprobs> tokens) {
                            order.add("score");
                            scored.countDown();
                        }

                        @Override
                        public void onError(LitheException error) {
                            order.add(error.getMessage());
                            scored.countDown();
                        }
                    });
            List<Recorder> later = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                var recorder =
                        new Recorder() {
                            @Override
                            public void onFinish(Finish finish) {
                                order.add("later");
                                super.onFinish(finish);
                            }
                        };
                engine.submit(small, recorder);
                later.add(recorder);
            }
            running.gate.countDown();
            await(scored);
            later.forEach(Recorder::finish);
            assertThat(order).startsWith("score");
        }
    }

    @Test
    void closeEndsEverythingAndLaterRequestsAreRefused() throws InterruptedException {
        var engine = new Engine(limits(4, 1));
        var running = new Gated();
        var waiting = new Recorder();
        engine.submit(request("Once", StopRules.exactly(500)), running);
        await(running.reached);
        engine.submit(request("Once", StopRules.exactly(500)), waiting);
        Thread closer = Thread.ofPlatform().start(engine::close);
        while (!refusesAsClosed(engine)) {
            Thread.onSpinWait();
        }
        assertThat(engine.stopped().toCompletableFuture()).isNotDone();
        running.gate.countDown();
        assertThat(running.error().fault()).isEqualTo(Fault.UNAVAILABLE);
        assertThat(waiting.error().fault()).isEqualTo(Fault.UNAVAILABLE);
        assertThat(refusesAsClosed(engine)).isTrue();
        engine.close();
        assertThat(closer.join(Duration.ofSeconds(60))).isTrue();
        assertThat(engine.stopped().toCompletableFuture()).isDone();
    }

    private static boolean refusesAsClosed(Engine engine) {
        try {
            engine.submit(request("x", StopRules.exactly(1)), new Recorder());
            return false;
        } catch (LitheException e) {
            return e.fault() == Fault.UNAVAILABLE;
        }
    }

    @Test
    void stopStringsMayCrossTokens() {
        try (var engine = new Engine(SMALL)) {
            var whole = new Recorder();
            engine.submit(request("Once upon a time", StopRules.exactly(30)), whole);
            whole.finish();
            String text = whole.text.toString();
            // From the middle of one word to the middle of the next: no token holds it alone.
            int space = text.indexOf(' ', text.length() / 2);
            String stop = text.substring(space - 2, space + 3);
            var stopped = new Recorder();
            engine.submit(
                    request("Once upon a time", new StopRules(30, List.of(stop), true)), stopped);
            Finish finish = stopped.finish();
            assertThat(finish.reason()).isEqualTo(FinishReason.STOP_STRING);
            assertThat(finish.stopString()).contains(stop);
            assertThat(stopped.text.toString()).isEqualTo(text.substring(0, text.indexOf(stop)));
            assertThat(finish.outputTokens()).isLessThan(30);
        }
    }

    @Test
    void aFullContextEndsGeneration() {
        int limit = model.decoder().spec().maxPositions();
        int[] ids = new int[limit];
        Arrays.fill(ids, 5);
        List<Integer> prompt = Arrays.stream(ids).boxed().toList();
        try (var engine = new Engine(SMALL)) {
            for (int room : new int[] {0, 2}) {
                var recorder = new Recorder();
                engine.submit(
                        new GenerationRequest(
                                model,
                                prompt.subList(0, limit - room),
                                SamplingOptions.GREEDY,
                                StopRules.exactly(1_000_000_000),
                                OptionalLong.empty()),
                        recorder);
                Finish finish = recorder.finish();
                assertThat(finish.reason()).isEqualTo(FinishReason.LENGTH);
                assertThat(finish.outputTokens()).isEqualTo(room + 1);
            }
        }
        List<Integer> tooLong = new ArrayList<>(prompt);
        tooLong.add(5);
        assertThatThrownBy(() ->
                        new GenerationRequest(
                                model,
                                tooLong,
                                SamplingOptions.GREEDY,
                                StopRules.length(1),
                                OptionalLong.empty()))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(Integer.toString(limit))
                .hasMessageContaining(Integer.toString(limit + 1));
    }

    @Test
    void seedsReproduceAndAreTold() {
        var seen = new AtomicReference<List<Integer>>();
        try (var engine = new Engine(SMALL)) {
            var options = new SamplingOptions(1, 0, 1, 0, 1, OptionalLong.empty());
            var free = new Recorder();
            engine.submit(
                    request("Once", options, StopRules.exactly(20), OptionalLong.empty()), free);
            free.finish();
            seen.set(free.ids);
            long seed = free.started.join();
            var again = new Recorder();
            engine.submit(
                    request(
                            "Once",
                            new SamplingOptions(1, 0, 1, 0, 1, OptionalLong.of(seed)),
                            StopRules.exactly(20),
                            OptionalLong.empty()),
                    again);
            again.finish();
            assertThat(again.ids).as("seed %d", seed).isEqualTo(seen.get());
        }
    }
}
