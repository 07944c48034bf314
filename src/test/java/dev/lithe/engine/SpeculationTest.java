package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.PlainLoop;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Guesses make answers faster at most: each is what the target gives alone.
class SpeculationTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final long SEED = 17;
    private static final int MOST = 5;

    @TempDir private static Path folder;
    private static ServedModel target;
    private static ServedModel draft;

    @BeforeAll
    static void load() {
        target = ServedModel.open(DEMO);
        try (var checkpoint = Checkpoint.open(DEMO)) {
            Plan plan = Plan.of(RecipeParser.named("int4"), checkpoint);
            Path small = folder.resolve("int4");
            draft =
                    ServedModel.open(
                            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(small, false));
        }
    }

    @AfterAll
    static void close() {
        draft.close();
        target.close();
    }

    private static EngineLimits limits(int running) {
        return new EngineLimits(
                5000, running, EngineLimits.DEFAULT.cacheBytes(), Duration.ofSeconds(60));
    }

    /// One that is never off for longer than a moment, whatever guessing costs.
    private static DraftLength always() {
        var clock = new AtomicLong();
        return new DraftLength(MOST, () -> clock.addAndGet(TimeUnit.HOURS.toNanos(1)));
    }

    private static Engine engine(ServedModel model, ServedModel guesser, int running) {
        var engine = new Engine(limits(running));
        engine.speculate(new Speculation(model, guesser, MOST), always());
        return engine;
    }

    private static List<Integer> ids(String text) {
        return Arrays.stream(target.tokenizer().encode(text, true)).boxed().toList();
    }

    private static List<String> prompts(int count) {
        var random = new Random(SEED);
        List<String> starts =
                List.of("Once upon a time", "Tom and his dog", "The sun", "Lily had a red ball.");
        List<String> prompts = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            prompts.add(
                    starts.get(i % 4)
                            + List.of(" and", " was", " in the", " saw a", ". Then")
                                    .get(random.nextInt(5))
                            + " word".repeat(i % 7 == 0 ? 40 : i % 3));
        }
        return prompts;
    }

    @Test
    void greedyAnswersAreThoseOfTheTargetAlone() {
        List<String> prompts = prompts(48);
        try (Engine engine = engine(target, draft, 4)) {
            List<Recorder> recorders = new ArrayList<>();
            for (int i = 0; i < prompts.size(); i++) {
                recorders.add(new Recorder());
                engine.submit(
                        new GenerationRequest(
                                target,
                                ids(prompts.get(i)),
                                SamplingOptions.GREEDY,
                                i % 2 == 0 ? StopRules.exactly(1 + i) : StopRules.length(60),
                                OptionalLong.empty()),
                        recorders.get(i));
            }
            for (int i = 0; i < prompts.size(); i++) {
                recorders.get(i).finish();
                int[] prompt = target.tokenizer().encode(prompts.get(i), true);
                List<Integer> got = recorders.get(i).ids;
                int[] expected = PlainLoop.greedy(target.decoder(), prompt, got.size());
                assertThat(got)
                        .as("request %d of seed %d", i, SEED)
                        .isEqualTo(Arrays.stream(expected).boxed().toList());
                assertThat(got.size()).isEqualTo(i % 2 == 0 ? 1 + i : got.size());
            }
            SpeculationCounts counts = engine.speculation(target).orElseThrow();
            assertThat(counts.draftTokens()).isGreaterThan(200);
            assertThat(counts.acceptance()).isBetween(0.5, 1.0);
        }
    }

    /// Ids, text, log probabilities and ends of one engine.
    private static List<String> heard(Engine engine, List<GenerationRequest> requests) {
        List<StringBuilder> all = new ArrayList<>();
        List<Recorder> recorders = new ArrayList<>();
        for (GenerationRequest request : requests) {
            var log = new StringBuilder();
            all.add(log);
            recorders.add(
                    new Recorder() {
                        @Override
                        public void onLogprobs(TokenLogprobs token) {
                            log.append(token);
                        }
                    });
            engine.submit(request, recorders.getLast());
        }
        List<String> heard = new ArrayList<>();
        for (int i = 0; i < requests.size(); i++) {
            Finish finish = recorders.get(i).finish();
            heard.add(
                    recorders.get(i).ids
                            + recorders.get(i).text.toString()
                            + all.get(i)
                            + finish.reason()
                            + finish.stopString()
                            + finish.outputTokens());
        }
        return heard;
    }

    @Test
    void sampledAnswersOfASeedAreThoseOfTheTargetAlone() {
        var random = new Random(SEED);
        List<GenerationRequest> requests = new ArrayList<>();
        for (String prompt : prompts(32)) {
            int i = requests.size();
            var sampling =
                    new SamplingOptions(
                            i % 8 == 7 ? 0 : 0.5 + random.nextDouble(),
                            i % 3 == 0 ? 20 : 0,
                            i % 2 == 0 ? 0.9 : 1,
                            i % 5 == 0 ? 0.05 : 0,
                            i % 4 == 3 ? 1.2 : 1,
                            OptionalLong.of(i));
            var stop = new StopRules(40, i % 4 == 0 ? List.of(" the ", ".") : List.of(), false);
            requests.add(
                    new GenerationRequest(
                            target,
                            ids(prompt),
                            sampling,
                            stop,
                            OptionalLong.empty(),
                            i % 3 == 1 ? OptionalInt.of(2) : OptionalInt.empty()));
        }
        List<String> expected;
        try (var plain = new Engine(limits(4))) {
            expected = heard(plain, requests);
        }
        try (Engine engine = engine(target, draft, 4)) {
            assertThat(heard(engine, requests)).isEqualTo(expected);
            SpeculationCounts counts = engine.speculation(target).orElseThrow();
            assertThat(counts.acceptance()).isBetween(0.4, 0.999);
        }
    }

    private record Choice(int id, double probability) {}

    /// What may follow a text, by the plainest computation.
    private static List<Choice> choices(ServedModel model, List<Integer> text, int topK) {
        float[] logits;
        try (Session session = Session.open(model.decoder(), text.size())) {
            logits = session.prefill(text.stream().mapToInt(Integer::intValue).toArray());
        }
        var order = new LikeliestFirst(logits);
        int[] ids = new int[topK];
        Arrays.setAll(ids, _ -> order.next());
        double sum = Arrays.stream(ids).mapToDouble(id -> Math.exp(logits[id])).sum();
        return Arrays.stream(ids)
                .mapToObj(id -> new Choice(id, Math.exp(logits[id]) / sum))
                .toList();
    }

    private static void joint(
            ServedModel model,
            List<Integer> text,
            int from,
            double p,
            Map<List<Integer>, Double> to) {
        if (text.size() == from + 3) {
            to.put(text.subList(from, text.size()), p);
            return;
        }
        for (Choice choice : choices(model, text, 3)) {
            List<Integer> longer = new ArrayList<>(text);
            longer.add(choice.id());
            joint(model, longer, from, p * choice.probability(), to);
        }
    }

    /// A pair of models that often disagree, and each text of three tokens as often as it should
    /// be.
    @Test
    void textsComeWithTheTargetsProbabilities() throws IOException {
        TinyModel tiny = TinyModel.small().tied();
        Map<String, RawTensor> other = tiny.tensors();
        other.putAll(withoutAllBut("layers.1.mlp", TinyModel.small().tied().seed(5).tensors()));
        try (ServedModel model = ServedModel.open(tiny.write(folder.resolve("tiny")));
                ServedModel guesser =
                        ServedModel.open(
                                tiny.write(folder.resolve("other"), tiny.config(), other));
                Engine engine = engine(model, guesser, 16)) {
            int draws = 4000;
            List<Integer> prompt = List.of(0, 5, 9, 40);
            Map<List<Integer>, Double> expected = new HashMap<>();
            joint(model, prompt, prompt.size(), 1, expected);
            Map<List<Integer>, Integer> seen = new HashMap<>();
            List<Recorder> recorders = new ArrayList<>();
            for (int i = 0; i < draws; i++) {
                var sampling =
                        new SamplingOptions(1, 3, 1, 0, 1, OptionalLong.of(SEED * draws + i));
                recorders.add(new Recorder());
                engine.submit(
                        new GenerationRequest(
                                model,
                                prompt,
                                sampling,
                                StopRules.exactly(7),
                                OptionalLong.empty()),
                        recorders.getLast());
            }
            for (Recorder recorder : recorders) {
                recorder.finish();
                seen.merge(List.copyOf(recorder.ids.subList(0, 3)), 1, Integer::sum);
            }
            assertThat(expected.keySet()).containsAll(seen.keySet());
            double chiSquared = 0;
            int cells = 0;
            for (Map.Entry<List<Integer>, Double> each : expected.entrySet()) {
                double mean = draws * each.getValue();
                if (mean >= 5) {
                    double off = seen.getOrDefault(each.getKey(), 0) - mean;
                    chiSquared += off * off / mean;
                    cells++;
                }
            }
            // Its mean is the number of cells, its deviation the root of twice that.
            assertThat(cells).isGreaterThan(8);
            assertThat(chiSquared).isLessThan(cells + 4 * Math.sqrt(2.0 * cells));
            SpeculationCounts counts = engine.speculation(model).orElseThrow();
            assertThat(counts.acceptance()).isBetween(0.05, 0.95);
            assertThat(counts.draftTokens()).isGreaterThan(draws);
        }
    }

    private static Map<String, RawTensor> withoutAllBut(
            String part, Map<String, RawTensor> tensors) {
        tensors.keySet().removeIf(name -> !name.contains(part));
        return tensors;
    }

    @Test
    void aBrokenDraftBreaksNoAnswer() throws IOException {
        TinyModel tiny = TinyModel.small();
        Map<String, RawTensor> tensors = tiny.tensors();
        float[] nothing = new float[300 * 32];
        Arrays.fill(nothing, Float.NaN);
        tensors.put("lm_head.weight", RawTensor.of(DType.F32, nothing, 300, 32));
        try (ServedModel model = ServedModel.open(tiny.write(folder.resolve("whole")));
                ServedModel guesser =
                        ServedModel.open(
                                tiny.write(folder.resolve("broken"), tiny.config(), tensors));
                Engine engine = engine(model, guesser, 4)) {
            var recorder = new Recorder();
            List<Integer> prompt = List.of(0, 5, 9);
            engine.submit(
                    new GenerationRequest(
                            model,
                            prompt,
                            SamplingOptions.GREEDY,
                            StopRules.exactly(40),
                            OptionalLong.empty()),
                    recorder);
            assertThat(recorder.finish().outputTokens()).isEqualTo(40);
            int[] expected = PlainLoop.greedy(model.decoder(), new int[] {0, 5, 9}, 40);
            assertThat(recorder.ids).isEqualTo(Arrays.stream(expected).boxed().toList());
            assertThat(engine.speculation(model).orElseThrow().switchedOff()).isPositive();
        }
    }

    @Test
    void cancelledAndLateOnesFreeWhatTheDraftHeld() {
        var limits = new EngineLimits(64, 4, 8 << 20, Duration.ofSeconds(60), 0, false);
        try (var engine = new Engine(limits)) {
            engine.speculate(new Speculation(target, draft, MOST), always());
            var ticket = new AtomicReference<Ticket>();
            var cancelled =
                    new Recorder() {
                        @Override
                        public void onDelta(String delta, List<Integer> newIds) {
                            super.onDelta(delta, newIds);
                            if (ids.size() == 20) {
                                ticket.get().cancel();
                            }
                        }
                    };
            GenerationRequest request =
                    new GenerationRequest(
                            target,
                            ids("Once upon a time"),
                            SamplingOptions.GREEDY,
                            StopRules.exactly(200),
                            OptionalLong.empty());
            ticket.set(engine.submit(request, cancelled));
            assertThat(cancelled.error().fault()).isEqualTo(Fault.CANCELLED);
            // Those of one step may follow.
            assertThat(cancelled.ids.size()).isBetween(20, 21 + MOST);
            var after = new Recorder();
            engine.submit(request, after);
            after.finish();
            assertThat(engine.drain(Duration.ofSeconds(10))).isTrue();
            assertThat(engine.cacheBytes()).isZero();
        }
    }

    @Test
    void aDeadlineEndsAGuessedAnswerWithinOneStep() {
        try (Engine engine = engine(target, draft, 4)) {
            var warm = new Recorder(); // the model is measured before its first token
            engine.submit(until(StopRules.exactly(1), OptionalLong.empty()), warm);
            warm.finish();
            long soon = System.nanoTime() + TimeUnit.SECONDS.toNanos(2);
            var late =
                    new Recorder() {
                        @Override
                        public void onDelta(String delta, List<Integer> newIds) {
                            super.onDelta(delta, newIds);
                            while (ids.size() >= 20 && System.nanoTime() < soon) {
                                Thread.onSpinWait();
                            }
                        }
                    };
            var other = new Recorder();
            engine.submit(until(StopRules.length(200), OptionalLong.of(soon)), late);
            engine.submit(until(StopRules.exactly(60), OptionalLong.empty()), other);
            assertThat(late.error().fault()).isEqualTo(Fault.DEADLINE);
            // Those of the step under way may follow.
            assertThat(late.ids.size()).isBetween(20, 21 + MOST);
            assertThat(other.finish().outputTokens()).isEqualTo(60);
            assertThat(other.ids).startsWith(late.ids.toArray(Integer[]::new));
        }
    }

    private static GenerationRequest until(StopRules stop, OptionalLong deadline) {
        return new GenerationRequest(
                target, ids("Once upon a time"), SamplingOptions.GREEDY, stop, deadline);
    }

    @Test
    void aDraftOfAnotherVocabularyIsRefused() throws IOException {
        try (ServedModel other =
                ServedModel.open(TinyModel.small().write(folder.resolve("vocabulary")))) {
            assertThatThrownBy(() -> new Speculation(target, other, 4))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("vocabulary of 300");
            assertThatThrownBy(() -> new Speculation(target, draft, 17))
                    .hasMessageContaining("use 1 to 16");
        }
    }
}
