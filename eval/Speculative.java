import dev.lithe.engine.Engine;
import dev.lithe.engine.EngineLimits;
import dev.lithe.engine.Finish;
import dev.lithe.engine.GenerationListener;
import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.ServedModel;
import dev.lithe.engine.Speculation;
import dev.lithe.engine.SpeculationCounts;
import dev.lithe.engine.StopRules;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvBatch;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;

/// What speculative decoding gives, measured inside one process:
///
///     eval/speculative ORIGINAL DRAFT [PROMPT...]
///
/// First what a step of the draft costs, and one of the original with k + 1 tokens, both in plain
/// steps of the original; and the speed that follows for some parts of right guesses. Then, for
/// each number of streams and temperature, the same requests with and without guesses in turn.
public final class Speculative {
    private static final int MOST = 8;
    private static final int CONTEXT = 64;
    private static final int TRIALS = 41;
    private static final int TOKENS = 160;
    private static final int ROUNDS = 11;

    private record Answer(List<Integer> ids, CompletableFuture<Finish> done)
            implements GenerationListener {
        @Override
        public void onStart(int promptTokens, long seed) {}

        @Override
        public void onDelta(String text, List<Integer> more) {
            ids.addAll(more);
        }

        @Override
        public void onFinish(Finish finish) {
            done.complete(finish);
        }

        @Override
        public void onError(LitheException error) {
            done.completeExceptionally(error);
        }
    }

    private record Probe(Decoder decoder, KvCache cache, KvBatch batch) {
        static Probe of(Decoder decoder, TensorScope scope) {
            KvCache cache = decoder.newCache(1, CONTEXT + MOST + 1, scope);
            var probe = new Probe(decoder, cache, new KvBatch(List.of(cache)));
            probe.nanos(CONTEXT);
            return probe;
        }

        long nanos(int rows) {
            long start = System.nanoTime();
            try (var step = TensorScope.open()) {
                decoder.extend(new int[][] {new int[rows]}, batch, true, step).size(0);
            }
            long took = System.nanoTime() - start;
            cache.rewind(CONTEXT);
            return took;
        }
    }

    public static void main(String[] arguments) {
        try (ServedModel original = ServedModel.open(Path.of(arguments[0]));
                ServedModel draft = ServedModel.open(Path.of(arguments[1]))) {
            costs(original.decoder(), draft.decoder());
            List<String> prompts = List.of(arguments).subList(2, arguments.length);
            if (!prompts.isEmpty()) {
                for (double temperature : new double[] {0, 1}) {
                    for (int streams : new int[] {1, 2, 4}) {
                        answers(original, draft, prompts, temperature, streams);
                    }
                }
            }
        }
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    private static void costs(Decoder original, Decoder draft) {
        try (var scope = TensorScope.open()) {
            Probe large = Probe.of(original, scope);
            Probe small = Probe.of(draft, scope);
            double[][] ratios = new double[MOST + 2][TRIALS];
            double[] plain = new double[TRIALS];
            for (int trial = -5; trial < TRIALS; trial++) {
                double one = large.nanos(1);
                double guess = small.nanos(1);
                for (int k = 1; k <= MOST; k++) {
                    double several = large.nanos(k + 1);
                    if (trial >= 0) {
                        ratios[k][trial] = several / one;
                    }
                }
                if (trial >= 0) {
                    plain[trial] = one / 1e6;
                    ratios[0][trial] = guess / one;
                }
            }
            double c = median(ratios[0]);
            System.out.printf("plain step %.2f ms; a guess costs %.2f of it%n", median(plain), c);
            double[] verify = new double[MOST + 1];
            for (int k = 1; k <= MOST; k++) {
                verify[k] = median(ratios[k]);
                System.out.printf("  %d guesses: reading them costs %.2f steps%n", k, verify[k]);
            }
            for (double right : new double[] {0.7, 0.8, 0.9, 0.95, 0.98}) {
                double best = 0;
                int length = 0;
                double expected = 1;
                for (int k = 1; k <= MOST; k++) {
                    expected += Math.pow(right, k);
                    double speed = expected / (k * c + verify[k]);
                    if (speed > best) {
                        best = speed;
                        length = k;
                    }
                }
                System.out.printf(
                        "  with %.2f of the guesses right: %.2f x with %d guesses%n",
                        right, best, length);
            }
        }
    }

    private static double seconds(
            Engine engine, ServedModel model, List<String> prompts, double temperature, int streams,
            int round, List<List<Integer>> heard) {
        long start = System.nanoTime();
        List<Answer> answers = new ArrayList<>();
        for (int i = 0; i < streams; i++) {
            var answer = new Answer(new ArrayList<>(), new CompletableFuture<>());
            String prompt = prompts.get((round * streams + i) % prompts.size());
            var sampling =
                    new SamplingOptions(temperature, 0, 1, 0, 1, OptionalLong.of(round * 100L + i));
            engine.submit(
                    new GenerationRequest(
                            model,
                            Arrays.stream(model.tokenizer().encode(prompt, true)).boxed().toList(),
                            sampling,
                            StopRules.exactly(TOKENS),
                            OptionalLong.empty()),
                    answer);
            answers.add(answer);
        }
        answers.forEach(each -> each.done().join());
        answers.forEach(each -> heard.add(each.ids()));
        return (System.nanoTime() - start) / 1e9;
    }

    private static void answers(
            ServedModel original, ServedModel draft, List<String> prompts, double temperature,
            int streams) {
        try (var plain = new Engine(EngineLimits.DEFAULT);
                var guessing = new Engine(EngineLimits.DEFAULT)) {
            guessing.speculate(new Speculation(original, draft, MOST));
            double[] ratios = new double[ROUNDS];
            int same = 0;
            for (int round = -3; round < ROUNDS; round++) {
                List<List<Integer>> expected = new ArrayList<>();
                List<List<Integer>> heard = new ArrayList<>();
                int seed = round + 3;
                double without = seconds(plain, original, prompts, temperature, streams, seed, expected);
                double with = seconds(guessing, original, prompts, temperature, streams, seed, heard);
                if (round >= 0) {
                    ratios[round] = without / with;
                    same += expected.equals(heard) ? 1 : 0;
                }
            }
            double[] sorted = ratios.clone();
            Arrays.sort(sorted);
            SpeculationCounts counts = guessing.speculation(original).orElseThrow();
            System.out.printf(
                    "temperature %.0f, %d streams: %.2f x [%.2f, %.2f]; %.3f of %d guesses right,"
                            + " %.1f a draft; own measure %.2f, off %d times; %d of %d the same%n",
                    temperature,
                    streams,
                    median(ratios),
                    sorted[0],
                    sorted[ROUNDS - 1],
                    counts.acceptance(),
                    counts.draftTokens(),
                    counts.draftTokens() / (double) Math.max(1, counts.drafts()),
                    counts.speedup(),
                    counts.switchedOff(),
                    same,
                    ROUNDS);
        }
    }
}
