package dev.lithe.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Interval;
import dev.lithe.evaluate.Percentiles;
import dev.lithe.evaluate.Verdict;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import io.grpc.Status;
import java.util.List;

/// What a server did under each load.
record BenchResult(BenchPlan plan, List<BenchLevel> levels) {
    private static final JsonMapper JSON = new JsonMapper();

    BenchResult {
        levels = List.copyOf(levels);
    }

    /// Fails where not one request was answered.
    ///
    /// @throws LitheException with the server's words
    void requireAnswers() {
        boolean none =
                levels.stream()
                        .flatMap(level -> level.measured().values().stream())
                        .allMatch(samples -> samples.completed() == 0);
        if (none) {
            BenchSamples first = levels.getFirst().base();
            Status.Code status = first.failures().keySet().iterator().next();
            throw LitheException.of(
                    Fault.UNAVAILABLE,
                    "no request was answered by %s: %s (%s)",
                    plan.target(),
                    status,
                    first.reason(status));
        }
    }

    /// For people.
    String table() {
        return new BenchTable(plan, levels).toString();
    }

    /// For programs. The first load's figures stand at the root too.
    String json() {
        ObjectNode root = JSON.createObjectNode();
        root.put("schema", "lithe.bench/v1").put("target", plan.target());
        root.put("requests", plan.requests(levels.getFirst().load()));
        root.put("prompt_tokens", plan.promptTokens()).put("tokens", plan.tokens());
        root.put("warmup", plan.warmup()).put("seed", plan.seed());
        if (plan.goal().isSet()) {
            ObjectNode goal = root.putObject("goal_ms");
            plan.goal().millis().forEach((measure, millis) -> goal.put(measure.key(), millis));
        }
        fill(root, levels.getFirst());
        levels.forEach(level -> {
            ObjectNode node = root.withArray("levels").addObject();
            switch (level.load()) {
                case BenchLoad.Streams(int count) -> node.put("concurrency", count);
                case BenchLoad.Rate(double rate) -> node.put("rate", rate);
            }
            node.put("requests", plan.requests(level.load()));
            node.put("rounds", plan.rounds(level.load()).size());
            fill(node, level);
        });
        return root.toString();
    }

    private void fill(ObjectNode node, BenchLevel level) {
        level.measured()
                .forEach((name, samples) -> {
                    ObjectNode variant = node.withArray("variants").addObject().put("name", name);
                    fill(variant, level, samples, samples != level.base());
                });
        fill(node.putObject("control"), level, level.again(), true);
    }

    private void fill(
            ObjectNode variant, BenchLevel level, BenchSamples samples, boolean compared) {
        for (BenchMeasure measure : BenchMeasure.values()) {
            samples.percentiles(measure)
                    .ifPresent(millis -> {
                        ObjectNode times = variant.putObject(measure.key() + "_ms");
                        fill(times, millis);
                        if (compared && measure.once()) {
                            level.ratio(measure, samples, plan.seed())
                                    .ifPresent(ratio -> fill(times, ratio));
                        }
                    });
        }
        variant.put("tokens_per_second", samples.tokensPerSecond());
        variant.put("requests_per_second", samples.requestsPerSecond());
        if (plan.goal().isSet()) {
            variant.put("goodput_per_second", samples.goodput(plan.goal()));
            variant.put("goodput_part", samples.good(plan.goal()));
        }
        variant.put("completed", samples.completed());
        ObjectNode failed = variant.putObject("failed");
        samples.failures().forEach((status, count) -> failed.put(status.name(), count));
        variant.put("sent_late_ms", samples.latest());
    }

    private static void fill(ObjectNode times, Percentiles millis) {
        times.put("p50", millis.p50()).put("p95", millis.p95()).put("p99", millis.p99());
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
