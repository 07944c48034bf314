package dev.lithe.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.evaluate.Bootstrap;
import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Interval;
import dev.lithe.evaluate.LatencySamples;
import dev.lithe.evaluate.Percentiles;
import dev.lithe.evaluate.Verdict;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;
import java.util.function.Function;

/// The latencies of a server's variants, and how they are told.
///
/// @param measured by variant; the first is what the others are compared with
/// @param again the first variant's second runs: what differs there is the machine and the clock
record BenchResult(
        String target,
        int requests,
        int promptTokens,
        int tokens,
        int warmup,
        long seed,
        SequencedMap<String, LatencySamples> measured,
        LatencySamples again) {
    private static final JsonMapper JSON = new JsonMapper();
    private static final String CONTROL = "%s (again)";

    @FunctionalInterface
    private interface Ratio {
        Estimate of(LatencySamples samples, LatencySamples base, long seed);
    }

    private record Measure(
            String title, String key, Function<LatencySamples, double[]> millis, Ratio ratio) {}

    private static final List<Measure> MEASURES =
            List.of(
                    new Measure(
                            "time to first token",
                            "ttft_ms",
                            LatencySamples::firstToken,
                            LatencySamples::firstTokenRatio),
                    new Measure(
                            "time per token",
                            "tpot_ms",
                            LatencySamples::perToken,
                            LatencySamples::perTokenRatio));

    private LatencySamples base() {
        return measured.firstEntry().getValue();
    }

    private Estimate ratio(Measure measure, LatencySamples samples) {
        return measure.ratio.of(samples, base(), seed);
    }

    /// What is compared with the first variant: the control, then the other variants.
    private SequencedMap<String, LatencySamples> compared() {
        SequencedMap<String, LatencySamples> compared = new LinkedHashMap<>(measured);
        String first = measured.firstEntry().getKey();
        compared.remove(first);
        compared.putFirst(String.format(CONTROL, first), again);
        return compared;
    }

    /// For people: the times of each variant, then what the others' ratios to the first allow to
    /// say.
    String table() {
        var text = new StringBuilder();
        text.append(
                String.format(
                        Locale.ROOT,
                        "%d requests per variant, interleaved, one at a time · %d prompt tokens, %d"
                                + " new · %d warm-ups each · seed %d%n",
                        requests,
                        promptTokens,
                        tokens,
                        warmup,
                        seed));
        measured.forEach((name, samples) -> appendTimes(text, name, samples));
        text.append(
                String.format(
                        "%n%nratio of medians to %s, 95 %% interval",
                        measured.firstEntry().getKey()));
        compared().forEach((name, samples) -> appendRatios(text, name, samples));
        if (requests < Bootstrap.FEWEST_SAMPLES) {
            text.append(
                    String.format(
                            "%n%d requests are too few for an interval; use --requests %d or more",
                            requests, Bootstrap.FEWEST_SAMPLES));
        }
        return text.toString();
    }

    private static void appendTimes(StringBuilder text, String name, LatencySamples samples) {
        text.append(String.format("%n%s", name));
        for (Measure measure : MEASURES) {
            Percentiles millis = Percentiles.of(measure.millis.apply(samples));
            text.append(
                    String.format(
                            Locale.ROOT,
                            "%n  %-20s p50 %10.2f ms   p95 %10.2f ms",
                            measure.title,
                            millis.p50(),
                            millis.p95()));
        }
        text.append(
                String.format(
                        Locale.ROOT,
                        "%n  %-20s     %10.1f",
                        "tokens per second",
                        samples.tokensPerSecond()));
    }

    private void appendRatios(StringBuilder text, String name, LatencySamples samples) {
        text.append(String.format("%n%s", name));
        for (Measure measure : MEASURES) {
            Estimate ratio = ratio(measure, samples);
            text.append(
                    String.format(
                            Locale.ROOT,
                            "%n  %-20s %.3f %-16s %s",
                            measure.title,
                            ratio.value(),
                            interval(ratio),
                            Verdict.of(ratio.interval()).label()));
        }
    }

    private static String interval(Estimate ratio) {
        Interval interval = ratio.interval();
        return interval == null
                ? ""
                : String.format(Locale.ROOT, "[%.3f, %.3f]", interval.low(), interval.high());
    }

    /// For programs.
    String json() {
        ObjectNode root = JSON.createObjectNode();
        root.put("schema", "lithe.bench/v1").put("target", target).put("requests", requests);
        root.put("prompt_tokens", promptTokens).put("tokens", tokens);
        root.put("warmup", warmup).put("seed", seed);
        measured.forEach((name, samples) -> {
            ObjectNode variant = root.withArray("variants").addObject().put("name", name);
            fill(variant, samples, samples != base());
        });
        fill(root.putObject("control"), again, true);
        return root.toString();
    }

    private void fill(ObjectNode variant, LatencySamples samples, boolean compared) {
        for (Measure measure : MEASURES) {
            Percentiles millis = Percentiles.of(measure.millis.apply(samples));
            ObjectNode times =
                    variant.putObject(measure.key)
                            .put("p50", millis.p50())
                            .put("p95", millis.p95());
            if (compared) {
                fill(times, ratio(measure, samples));
            }
        }
        variant.put("tokens_per_second", samples.tokensPerSecond());
    }

    private static void fill(ObjectNode times, Estimate ratio) {
        times.put("ratio", ratio.value());
        Interval interval = ratio.interval();
        if (interval != null) {
            times.withArray("interval").add(interval.low()).add(interval.high());
        }
        times.put("verdict", Verdict.of(interval).label());
    }
}
