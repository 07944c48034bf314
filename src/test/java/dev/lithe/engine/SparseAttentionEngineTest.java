package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.PlainLoop;
import dev.lithe.fault.LitheException;
import dev.lithe.model.SparseAttention;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
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
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final SparseAttention SOME = new SparseAttention(4, 92, 0, 0);

    @TempDir private static Path folder;

    private static ServedModel model;

    @BeforeAll
    static void load() throws IOException {
        for (String file :
                List.of("model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(DEMO.resolve(file), folder.resolve(file));
        }
        var json = new JsonMapper();
        var config = (ObjectNode) json.readTree(Files.readAllBytes(DEMO.resolve("config.json")));
        SOME.describe(config);
        json.writeValue(folder.resolve("config.json").toFile(), config);
        model = ServedModel.open(folder);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static GenerationRequest request(ServedModel of, int[] prompt, StopRules stop) {
        List<Integer> ids = Arrays.stream(prompt).boxed().toList();
        return new GenerationRequest(of, ids, SamplingOptions.GREEDY, stop, OptionalLong.empty());
    }

    private static int[] text(int length) {
        return new Random(4).ints(length, 3, 4096).toArray();
    }

    private static List<Integer> plain(int[] prompt, int tokens) {
        int[] ids = PlainLoop.greedy(model.decoder(), prompt, tokens);
        return Arrays.stream(ids).boxed().toList();
    }

    /// Looks at the engine's memory with every token.
    private static final class Watching extends Recorder {
        private final Engine engine;
        private long most;

        Watching(Engine engine) {
            this.engine = engine;
        }

        @Override
        public void onDelta(String delta, List<Integer> newIds) {
            super.onDelta(delta, newIds);
            most = Math.max(most, engine.cacheBytes());
        }
    }

    @Test
    void generatesFarBeyondTheContextInTheSameMemory() {
        int tokens = 3 * model.decoder().spec().maxPositions();
        int[] prompt = model.tokenizer().encode("Once upon a time", true);
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            var recorder = new Watching(engine);
            var beside = new Recorder();
            engine.submit(request(model, prompt, StopRules.exactly(tokens)), recorder);
            engine.submit(request(model, text(700), StopRules.exactly(30)), beside);
            recorder.finish();
            beside.finish();
            assertThat(recorder.ids).isEqualTo(plain(prompt, tokens));
            assertThat(beside.ids).isEqualTo(plain(text(700), 30));
            long each = model.decoder().spec().cacheBytes(1 << 20);
            assertThat(recorder.most).isEqualTo(2 * each);
            assertThat(each).isEqualTo(2L * 6 * 8 * 32 * Float.BYTES * (4 + 384));
        }
    }

    /// A model that sees all refuses what this one takes.
    @Test
    void promptsMayBeLongerThanTheContext() {
        try (ServedModel whole = ServedModel.open(DEMO);
                var engine = new Engine(EngineLimits.DEFAULT)) {
            int[] prompt = text(1500);
            assertThatThrownBy(() -> request(whole, prompt, StopRules.length(1)))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("1500 tokens exceed the model's context of 512");
            var recorder = new Recorder();
            engine.submit(request(model, prompt, StopRules.exactly(20)), recorder);
            recorder.finish();
            assertThat(recorder.ids).isEqualTo(plain(prompt, 20));
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
        int[] first = text(900);
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            var recorder = new Recorder();
            engine.submit(request(model, first, StopRules.length(10)), recorder);
            recorder.finish();
            int[] longer = Arrays.copyOf(first, 950);
            for (int[] prompt : List.of(longer, Arrays.copyOf(first, 300), first, longer)) {
                var next = new Recorder();
                engine.submit(request(model, prompt, StopRules.length(10)), next);
                next.finish();
                assertThat(next.ids).isEqualTo(plain(prompt, next.ids.size()));
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
            List<int[]> prompts = List.of(text(20), text(600));
            for (int[] prompt : prompts) {
                recorders.add(new Recorder());
                engine.submit(request(model, prompt, StopRules.exactly(500)), recorders.getLast());
            }
            for (int i = 0; i < 2; i++) {
                recorders.get(i).finish();
                assertThat(recorders.get(i).ids).isEqualTo(plain(prompts.get(i), 500));
            }
            assertThat(engine.speculation(model).orElseThrow().draftTokens()).isGreaterThan(300);
        }
    }

    @Test
    void scoresTextsLongerThanTheContext() {
        int[] ids = text(1200);
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
