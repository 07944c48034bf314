package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.fault.LitheException;
import dev.lithe.model.SparseAttention;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Texts longer than the context, in the engine: answers are those of a cache with a row for every
/// position, and memory does not grow.
class SparseAttentionEngineTest {
    private static final SparseAttention SOME = new SparseAttention(4, 92, 0, 0);

    @TempDir private static Path folder;

    private static ServedModel model;

    @BeforeAll
    static void load() throws IOException {
        model = DemoWith.open(folder, SOME::describe);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static GenerationRequest request(ServedModel of, int[] prompt, StopRules stop) {
        List<Integer> ids = Arrays.stream(prompt).boxed().toList();
        return new GenerationRequest(of, ids, SamplingOptions.GREEDY, stop, OptionalLong.empty());
    }

    @Test
    void generatesFarBeyondTheContextInTheSameMemory() {
        int tokens = 3 * model.decoder().spec().maxPositions();
        int[] prompt = model.tokenizer().encode("Once upon a time", true);
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            var recorder = new DemoWith.Watching(engine);
            var beside = new Recorder();
            engine.submit(request(model, prompt, StopRules.exactly(tokens)), recorder);
            engine.submit(request(model, DemoWith.text(700), StopRules.exactly(30)), beside);
            recorder.finish();
            beside.finish();
            assertThat(recorder.ids).isEqualTo(DemoWith.plain(model, prompt, tokens));
            assertThat(beside.ids).isEqualTo(DemoWith.plain(model, DemoWith.text(700), 30));
            long each = model.decoder().spec().cacheBytes(1 << 20);
            assertThat(recorder.most).isEqualTo(2 * each);
            assertThat(each).isEqualTo(2L * 6 * 8 * 32 * Float.BYTES * (4 + 384));
        }
    }

    /// A model that sees all refuses what this one takes.
    @Test
    void promptsMayBeLongerThanTheContext() {
        try (ServedModel whole = ServedModel.open(DemoWith.DEMO);
                var engine = new Engine(EngineLimits.DEFAULT)) {
            int[] prompt = DemoWith.text(1500);
            assertThatThrownBy(() -> request(whole, prompt, StopRules.length(1)))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("1500 tokens exceed the model's context of 512");
            var recorder = new Recorder();
            engine.submit(request(model, prompt, StopRules.exactly(20)), recorder);
            recorder.finish();
            assertThat(recorder.ids).isEqualTo(DemoWith.plain(model, prompt, 20));
            try (Session session = Session.open(model.decoder(), 2000)) {
                float[] atOnce = session.prefill(prompt);
                try (Session other = Session.open(model.decoder(), 2000)) {
                    float[] _ = other.prefill(Arrays.copyOf(prompt, 1401));
                    float[] inTwo = other.prefill(Arrays.copyOfRange(prompt, 1401, 1500));
                    assertThat(inTwo).containsExactly(atOnce, within(1e-4f));
                }
                assertThat(session.cacheBytes()).isEqualTo(model.decoder().spec().cacheBytes(2000));
            }
        }
    }

    /// What rows hold no more is read anew; what they hold is not.
    @Test
    void beginningsAreReusedWhereTheyAreThere() {
        int[] first = DemoWith.text(900);
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            var recorder = new Recorder();
            engine.submit(request(model, first, StopRules.length(10)), recorder);
            recorder.finish();
            int[] longer = Arrays.copyOf(first, 950);
            for (int[] prompt : List.of(longer, Arrays.copyOf(first, 300), first, longer)) {
                var next = new Recorder();
                engine.submit(request(model, prompt, StopRules.length(10)), next);
                next.finish();
                assertThat(next.ids).isEqualTo(DemoWith.plain(model, prompt, next.ids.size()));
            }
        }
        var memory = new CacheMemory(EngineLimits.DEFAULT);
        GenerationRequest request = request(model, first, StopRules.length(10));
        Session read = memory.open(request);
        float[] _ = read.prefill(first);
        memory.take(model, first, read);
        Session known = memory.open(request(model, Arrays.copyOf(first, 950), StopRules.length(5)));
        assertThat(known.position()).isEqualTo(900);
        memory.take(model, new int[0], known);
        Session lost = memory.open(request(model, Arrays.copyOf(first, 500), StopRules.length(5)));
        assertThat(lost.position()).isZero();
        float[] _ = lost.prefill(Arrays.copyOf(first, 200));
        memory.take(model, Arrays.copyOf(first, 200), lost);
        Session both = memory.open(request(model, Arrays.copyOf(first, 300), StopRules.length(5)));
        assertThat(both.position()).isEqualTo(200);
        memory.take(model, new int[0], both);
        memory.close();
    }

    @Test
    void guessesDoNotChangeAnswers() {
        var clock = new AtomicLong();
        var always = new DraftLength(6, () -> clock.addAndGet(TimeUnit.HOURS.toNanos(1)));
        try (ServedModel draft = ServedModel.open(folder);
                var engine = new Engine(EngineLimits.DEFAULT)) {
            engine.speculate(new Speculation(model, draft, 6), always);
            List<Recorder> recorders = new ArrayList<>();
            List<int[]> prompts = List.of(DemoWith.text(20), DemoWith.text(600));
            for (int[] prompt : prompts) {
                recorders.add(new Recorder());
                engine.submit(request(model, prompt, StopRules.exactly(500)), recorders.getLast());
            }
            for (int i = 0; i < 2; i++) {
                recorders.get(i).finish();
                assertThat(recorders.get(i).ids)
                        .isEqualTo(DemoWith.plain(model, prompts.get(i), 500));
            }
            assertThat(engine.speculation(model).orElseThrow().draftTokens()).isGreaterThan(300);
        }
    }

    @Test
    void scoresTextsLongerThanTheContext() {
        int[] ids = DemoWith.text(1200);
        var scored = new CompletableFuture<List<TokenLogprobs>>();
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            engine.score(
                    new ScoreRequest(
                            model,
                            Arrays.stream(ids).boxed().toList(),
                            1100,
                            0,
                            OptionalLong.empty()),
                    new ScoreListener() {
                        @Override
                        public void onScored(List<TokenLogprobs> tokens) {
                            scored.complete(tokens);
                        }

                        @Override
                        public void onError(LitheException error) {
                            scored.completeExceptionally(error);
                        }
                    });
            List<TokenLogprobs> tokens = scored.join();
            assertThat(tokens).hasSize(100);
            try (var scope = TensorScope.open()) {
                long[] elements = Arrays.stream(ids).asLongStream().toArray();
                var cache = model.decoder().newCache(1, ids.length, scope);
                var input = scope.tensor(Arrays.copyOf(elements, 1199), 1, 1199);
                var logits = model.decoder().forward(input, 0, cache, true, scope);
                var targets = scope.tensor(Arrays.copyOfRange(elements, 1, 1200), 1, 1199);
                float[] expected = scope.call("token_loss", logits, targets).floats();
                for (int i = 0; i < 100; i++) {
                    assertThat(tokens.get(i).logprob())
                            .isCloseTo(-expected[1099 + i], within(1e-3f));
                }
            }
        }
    }
}
