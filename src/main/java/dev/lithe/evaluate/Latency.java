package dev.lithe.evaluate;

import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/// Times models against each other in one process: in each pair every model, and the original once
/// more, continues the same prompt greedily by the same number of tokens, in random order. The
/// second run of the original shows what the clock and the machine do by themselves.
public final class Latency {
    private static final int WARM_UP_FEWEST = 2;
    private static final int WARM_UP_MOST = 5;

    /// Two warm-up runs in a row that differ by less than this are a warm model.
    private static final double STABLE = 0.1;

    private static final double NANOS_PER_MILLI = 1e6;

    private final List<Subject> runs;
    private final List<int[]> ids;
    private final LatencyOptions options;
    private final double[][] firstToken;
    private final double[][] perToken;

    private Latency(List<Subject> subjects, List<int[]> ids, LatencyOptions options) {
        this.runs = new ArrayList<>(subjects);
        this.runs.add(subjects.getFirst());
        this.ids = new ArrayList<>(ids);
        this.ids.add(ids.getFirst());
        this.options = options;
        this.firstToken = new double[runs.size()][options.pairs()];
        this.perToken = new double[runs.size()][options.pairs()];
    }

    /// What was measured.
    ///
    /// @param options with the lengths that were really used
    /// @param models samples of each subject, in their order
    /// @param again samples of the original's second runs
    public record Result(
            LatencyOptions options, List<LatencySamples> models, LatencySamples again) {}

    /// Measures all subjects, the original first.
    ///
    /// @param ids where each takes prompts from, spread evenly
    public static Result measure(
            List<Subject> subjects,
            List<int[]> ids,
            LatencyOptions options,
            ProgressListener progress) {
        int positions =
                subjects.stream()
                        .mapToInt(subject -> subject.decoder().spec().maxPositions())
                        .min()
                        .orElseThrow();
        int tokens = ids.stream().mapToInt(each -> each.length).min().orElseThrow();
        var latency = new Latency(subjects, ids, options.within(tokens, positions));
        for (int i = 0; i < subjects.size(); i++) {
            latency.warmUp(i);
        }
        latency.runPairs(progress);
        return latency.result();
    }

    private void warmUp(int model) {
        double before = Double.POSITIVE_INFINITY;
        for (int i = 0; i < WARM_UP_MOST; i++) {
            Run run = run(runs.get(model).decoder(), prompt(model, i));
            double total = run.firstToken + run.perToken * (options.outputTokens() - 1);
            if (i + 1 >= WARM_UP_FEWEST && Math.abs(total - before) < STABLE * before) {
                return;
            }
            before = total;
        }
    }

    private void runPairs(ProgressListener progress) {
        var random = new Random(options.seed());
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < runs.size(); i++) {
            order.add(i);
        }
        for (int pair = 0; pair < options.pairs(); pair++) {
            Collections.shuffle(order, random);
            for (int i : order) {
                Run run = run(runs.get(i).decoder(), prompt(i, pair));
                firstToken[i][pair] = run.firstToken;
                perToken[i][pair] = run.perToken;
            }
            progress.update("latency", pair + 1L, options.pairs());
        }
    }

    private int[] prompt(int model, int pair) {
        int[] tokens = ids.get(model);
        long room = tokens.length - options.promptTokens();
        int start = (int) (room * (pair % options.pairs()) / Math.max(1, options.pairs() - 1));
        return Arrays.copyOfRange(tokens, start, start + options.promptTokens());
    }

    /// One run, in milliseconds.
    private record Run(double firstToken, double perToken) {}

    private Run run(Decoder decoder, int[] prompt) {
        int outputTokens = options.outputTokens();
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, prompt.length + outputTokens - 1, scope);
            long start = System.nanoTime();
            int token = next(decoder, prompt, cache);
            long first = System.nanoTime();
            for (int i = 1; i < outputTokens; i++) {
                token = next(decoder, new int[] {token}, cache);
            }
            long end = System.nanoTime();
            return new Run(
                    (first - start) / NANOS_PER_MILLI,
                    (end - first) / NANOS_PER_MILLI / (outputTokens - 1));
        }
    }

    /// The likeliest token behind `ids`, which extend what `cache` holds; the first of equals.
    static int next(Decoder decoder, int[] ids, KvCache cache) {
        float[] logits = decoder.next(ids, cache);
        int best = 0;
        for (int id = 1; id < logits.length; id++) {
            best = logits[id] > logits[best] ? id : best;
        }
        return best;
    }

    private Result result() {
        List<LatencySamples> samples = new ArrayList<>();
        for (int i = 0; i < runs.size(); i++) {
            samples.add(new LatencySamples(options.outputTokens(), firstToken[i], perToken[i]));
        }
        LatencySamples again = samples.removeLast();
        return new Result(options, samples, again);
    }
}
