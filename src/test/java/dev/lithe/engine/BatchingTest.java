package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.PlainLoop;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.Fault;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Many requests at once: each gets the answer that it gets alone, and none waits long for another.
class BatchingTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final long SEED = 64;
    private static final int CHUNK = 24;

    @TempDir private Path folder;

    private static EngineLimits limits(int running) {
        return limits(running, CHUNK);
    }

    private static EngineLimits limits(int running, int chunk) {
        return new EngineLimits(
                256,
                running,
                EngineLimits.DEFAULT.cacheBytes(),
                Duration.ofSeconds(60),
                chunk,
                false);
    }

    private static GenerationRequest request(ServedModel model, int[] prompt, int tokens) {
        return new GenerationRequest(
                model,
                Arrays.stream(prompt).boxed().toList(),
                SamplingOptions.GREEDY,
                StopRules.exactly(tokens),
                OptionalLong.empty());
    }

    /// Texts of the model's own, so that few choices are close.
    private static int[] story(ServedModel model, Random random, int length) {
        String start =
                List.of("Once upon a time", "Tom and his dog", "The sun", "Lily had a red")
                        .get(random.nextInt(4));
        int[] ids = model.tokenizer().encode(start, true);
        int[] rest = PlainLoop.greedy(model.decoder(), ids, 2 + random.nextInt(length));
        int[] both = Arrays.copyOf(ids, ids.length + rest.length);
        System.arraycopy(rest, 0, both, ids.length, rest.length);
        return both;
    }

    @Test
    void mixedRequestsAnswerAsEachAlone() {
        var random = new Random(SEED);
        try (ServedModel model = ServedModel.open(DEMO)) {
            List<int[]> prompts = new ArrayList<>();
            List<Integer> lengths = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                prompts.add(story(model, random, i % 8 == 0 ? 150 : 20));
                lengths.add(1 + random.nextInt(24));
            }
            List<Recorder> recorders = new ArrayList<>();
            prompts.forEach(_ -> recorders.add(new Recorder()));
            List<Integer> order = new ArrayList<>();
            prompts.forEach(_ -> order.add(order.size()));
            Collections.shuffle(order, random);
            try (var engine = new Engine(limits(12))) {
                var submitted = new AtomicInteger();
                for (int i : order) {
                    engine.submit(request(model, prompts.get(i), lengths.get(i)), recorders.get(i));
                    // Some arrive while others are at every stage.
                    if (submitted.incrementAndGet() % 10 == 0) {
                        recorders.get(i).finish();
                    }
                }
                recorders.forEach(Recorder::finish);
            }
            for (int i = 0; i < prompts.size(); i++) {
                int[] expected = PlainLoop.greedy(model.decoder(), prompts.get(i), lengths.get(i));
                assertThat(recorders.get(i).ids)
                        .as("request %d of seed %d", i, SEED)
                        .isEqualTo(Arrays.stream(expected).boxed().toList());
            }
        }
    }

    /// For what integers, codebooks, masks and caches of codes round, neighbours must not matter.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "rtn:bits=8,group_size=0,activations=dynamic",
                "rtn:bits=4,group_size=32",
                "rtn:bits=3,group_size=32,symmetric=false",
                "nf4:group_size=64",
                "fp8:granularity=channel",
                "magnitude:sparsity=0.5",
                "kv_cache:keys=8,values=8",
                "kv_cache:keys=4,values=4"
            })
    void everyFormAnswersAsEachAlone(String stage) {
        Path compressed;
        try (var checkpoint = Checkpoint.open(DEMO)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stage)), checkpoint);
            compressed =
                    new Compressor(plan, checkpoint, (_, _, _) -> {})
                            .run(folder.resolve("compressed"), false);
        }
        var random = new Random(SEED);
        try (ServedModel model = ServedModel.open(compressed)) {
            List<int[]> prompts = new ArrayList<>();
            List<Recorder> recorders = new ArrayList<>();
            for (int i = 0; i < 12; i++) {
                prompts.add(story(model, random, i % 4 == 0 ? 60 : 12));
            }
            try (var engine = new Engine(limits(6))) {
                for (int i = 0; i < prompts.size(); i++) {
                    recorders.add(new Recorder());
                    engine.submit(request(model, prompts.get(i), 6 + 2 * i), recorders.get(i));
                }
                recorders.forEach(Recorder::finish);
            }
            for (int i = 0; i < prompts.size(); i++) {
                int[] alone = PlainLoop.greedy(model.decoder(), prompts.get(i), 6 + 2 * i);
                assertThat(recorders.get(i).ids)
                        .as("%s, request %d of seed %d", stage, i, SEED)
                        .isEqualTo(Arrays.stream(alone).boxed().toList());
            }
        }
    }

    /// Counts decode steps by the tokens of one stream that is always there; chunks are given, or
    /// measured.
    @ParameterizedTest
    @CsvSource({"24, 20, 4", "0, 3, 8"})
    void aShortPromptOvertakesALongOne(int chunk, int start, int most) throws IOException {
        TinyModel tiny = TinyModel.small().positions(4096).layers(4);
        try (ServedModel model = ServedModel.open(tiny.write(folder));
                var engine = new Engine(limits(12, chunk))) {
            var random = new Random(SEED);
            int[] prompt = random.ints(2000, 2, 300).toArray();
            var slow = new Recorder();
            var quick = new Recorder();
            var steps = new AtomicInteger();
            var asked = new AtomicInteger(-1);
            var waited = new AtomicInteger(-1);
            var first =
                    new Recorder() {
                        @Override
                        public void onDelta(String delta, List<Integer> newIds) {
                            super.onDelta(delta, newIds);
                            if (steps.incrementAndGet() == 1) {
                                engine.submit(request(model, prompt, 2), slow);
                            } else if (steps.get() == start) {
                                asked.set(steps.get());
                                int[] few = Arrays.copyOf(prompt, 8);
                                engine.submit(request(model, few, 2), quick);
                            }
                            if (waited.get() < 0 && !quick.ids.isEmpty()) {
                                waited.set(steps.get() - asked.get());
                            }
                        }
                    };
            engine.submit(request(model, Arrays.copyOf(prompt, 5), 400), first);
            assertThat(quick.finish().outputTokens()).isEqualTo(2);
            assertThat(slow.finished).isNotDone();
            first.finish();
            assertThat(waited.get()).isBetween(1, most);
            assertThat(slow.finish().outputTokens()).isEqualTo(2);
        }
    }

    /// Short prompts that keep coming must not keep a long one away.
    @Test
    void aLongPromptIsNotStarved() throws IOException {
        TinyModel tiny = TinyModel.small().positions(4096);
        try (ServedModel model = ServedModel.open(tiny.write(folder));
                var engine = new Engine(limits(4))) {
            int[] prompt = new Random(SEED).ints(600, 2, 300).toArray();
            var slow = new Recorder();
            engine.submit(request(model, prompt, 1), slow);
            var sent = new AtomicInteger();
            submitNext(engine, model, sent, slow);
            submitNext(engine, model, sent, slow);
            slow.finish();
        }
    }

    private static void submitNext(
            Engine engine, ServedModel model, AtomicInteger sent, Recorder slow) {
        var next =
                new Recorder() {
                    @Override
                    public void onFinish(Finish finish) {
                        super.onFinish(finish);
                        if (!slow.finished.isDone() && sent.incrementAndGet() < 100_000) {
                            submitNext(engine, model, sent, slow);
                        }
                    }
                };
        engine.submit(request(model, new int[] {0, 5, 9}, 1), next);
    }

    @Test
    void oneThatComputesNonsenseTakesNobodyDown() throws IOException {
        TinyModel tiny = TinyModel.small();
        Map<String, RawTensor> tensors = tiny.tensors();
        float[] table = new float[300 * 32];
        for (int i = 0; i < table.length; i++) {
            table[i] = i / 32 == 7 ? Float.NaN : (i * 31 % 17 - 8) / 8f;
        }
        tensors.put("model.embed_tokens.weight", RawTensor.of(DType.F32, table, 300, 32));
        try (ServedModel model = ServedModel.open(tiny.write(folder, tiny.config(), tensors));
                var engine = new Engine(limits(12))) {
            List<Recorder> healthy = new ArrayList<>();
            List<Recorder> broken = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                healthy.add(new Recorder());
                engine.submit(request(model, new int[] {0, 5, 9 + i}, 20), healthy.getLast());
                broken.add(new Recorder());
                engine.submit(request(model, new int[] {0, 7, 9}, 20), broken.getLast());
            }
            healthy.forEach(each -> assertThat(each.finish().outputTokens()).isEqualTo(20));
            broken.forEach(each -> assertThat(each.error().fault()).isEqualTo(Fault.INTERNAL));
            assertThat(engine.stopped().toCompletableFuture()).isNotDone();
        }
    }
}
