package dev.lithe.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/// The latencies of a server's variants, and how they are told.
///
/// @param measured by variant; the first is what the others are compared with
record BenchResult(
        String target,
        int requests,
        int promptTokens,
        int tokens,
        int warmup,
        long seed,
        Map<String, List<Latency>> measured) {
    private static final JsonMapper JSON = new JsonMapper();

    private record Measure(String title, String unit, String key, ToDoubleFunction<Latency> of) {}

    private static final List<Measure> MEASURES =
            List.of(
                    new Measure("time to first token", "ms", "ttft_ms", Latency::firstMillis),
                    new Measure("time per token", "ms", "tpot_ms", Latency::perTokenMillis),
                    new Measure(
                            "tokens per second",
                            "",
                            "tokens_per_second",
                            Latency::tokensPerSecond));

    /// A quantile by linear interpolation between the two nearest ranks.
    static double quantile(double[] values, double q) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        double at = q * (sorted.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
    }

    private double quantile(String variant, Measure measure, double q) {
        return quantile(
                measured.getOrDefault(variant, List.of()).stream()
                        .mapToDouble(measure.of)
                        .toArray(),
                q);
    }

    /// For people: a column per variant, and the others' ratios to the first.
    String table() {
        var text = new StringBuilder();
        text.append(
                String.format(
                        Locale.ROOT,
                        "%d requests per variant, interleaved, one at a time · %d prompt tokens, %d"
                                + " new · %d warm-ups each · seed %d%n%n%-26s",
                        requests,
                        promptTokens,
                        tokens,
                        warmup,
                        seed,
                        ""));
        List<String> names = List.copyOf(measured.keySet());
        names.forEach(name -> text.append(String.format("%14s", name)));
        names.stream().skip(1).forEach(_ -> text.append(String.format("%8s", "ratio")));
        for (Measure measure : MEASURES) {
            for (int percent : new int[] {50, 95}) {
                appendRow(text, names, measure, percent);
            }
        }
        return text.toString();
    }

    private void appendRow(StringBuilder text, List<String> names, Measure measure, int percent) {
        text.append(String.format("%n%-26s", measure.title + " p" + percent));
        double first = quantile(names.getFirst(), measure, percent / 100.0);
        for (String name : names) {
            double value = quantile(name, measure, percent / 100.0);
            String cell = String.format(Locale.ROOT, "%.2f %s", value, measure.unit).strip();
            text.append(String.format("%14s", cell));
        }
        for (String name : names.subList(1, names.size())) {
            double ratio = quantile(name, measure, percent / 100.0) / first;
            text.append(String.format(Locale.ROOT, "%8.2f", ratio));
        }
    }

    /// For programs.
    String json() {
        ObjectNode root = JSON.createObjectNode();
        root.put("schema", "lithe.bench/v1").put("target", target).put("requests", requests);
        root.put("prompt_tokens", promptTokens).put("tokens", tokens);
        root.put("warmup", warmup).put("seed", seed);
        String first = measured.keySet().iterator().next();
        for (String name : measured.keySet()) {
            ObjectNode variant = root.withArray("variants").addObject().put("name", name);
            for (Measure measure : MEASURES) {
                double middle = quantile(name, measure, 0.5);
                variant.putObject(measure.key)
                        .put("p50", middle)
                        .put("p95", quantile(name, measure, 0.95))
                        .put("ratio", middle / quantile(first, measure, 0.5));
            }
        }
        return root.toString();
    }
}
