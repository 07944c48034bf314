package dev.lithe.cli;

import dev.lithe.evaluate.Bootstrap;
import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Interval;
import dev.lithe.evaluate.Percentiles;
import dev.lithe.evaluate.Verdict;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// The result of a bench for people: for each load the times of each variant, then what the others'
/// ratios to the first allow to say.
final class BenchTable {
    private final BenchPlan plan;
    private final StringBuilder text = new StringBuilder();

    BenchTable(BenchPlan plan, List<BenchLevel> levels) {
        this.plan = plan;
        levels.forEach(this::append);
    }

    @Override
    public String toString() {
        return text.toString().stripTrailing();
    }

    private void line(String format, Object... values) {
        text.append(String.format(Locale.ROOT, format, values).stripTrailing())
                .append(System.lineSeparator());
    }

    private void append(BenchLevel level) {
        int requests = plan.requests(level.load());
        int rounds = plan.rounds(level.load()).size();
        line(
                "%d requests per variant, interleaved%s, %s · %d prompt tokens, %d new · %d"
                        + " warm-ups each · seed %d",
                requests,
                rounds == requests ? "" : " in " + rounds + " rounds",
                level.load().label(),
                plan.promptTokens(),
                plan.tokens(),
                plan.warmup(),
                plan.seed());
        level.measured().forEach(this::times);
        line("");
        line("ratio of medians to %s, 95 %% interval", level.baseName());
        level.compared().forEach((name, samples) -> ratios(level, name, samples));
        if (rounds < Bootstrap.FEWEST_SAMPLES) {
            line(
                    "%d requests are too few for an interval; use --requests %d or more",
                    requests, Bootstrap.FEWEST_SAMPLES * level.load().fewestInRound());
        }
        line("");
    }

    private void times(String name, BenchSamples samples) {
        line("%s", name);
        for (BenchMeasure measure : BenchMeasure.values()) {
            samples.percentiles(measure).ifPresent(millis -> times(measure, millis));
        }
        line("  %-20s     %10.1f", "tokens per second", samples.tokensPerSecond());
        line("  %-20s     %10.2f", "requests per second", samples.requestsPerSecond());
        if (plan.goal().isSet()) {
            line(
                    "  %-20s     %10.2f a second, %.1f %% (%s)",
                    "within the goal",
                    samples.goodput(plan.goal()),
                    100 * samples.good(plan.goal()),
                    plan.goal().label());
        }
        samples.failures()
                .forEach((status, count) ->
                        line(
                                "  %-20s     %10d %s: %s",
                                "failed", count, status, samples.reason(status)));
    }

    private void times(BenchMeasure measure, Percentiles millis) {
        line(
                "  %-20s p50 %10.2f ms   p95 %10.2f ms   p99 %10.2f ms",
                measure.title(), millis.p50(), millis.p95(), millis.p99());
    }

    private void ratios(BenchLevel level, String name, BenchSamples samples) {
        line("%s", name);
        for (BenchMeasure measure : BenchMeasure.values()) {
            if (measure.once()) {
                Optional<Estimate> ratio = level.ratio(measure, samples, plan.seed());
                ratio.ifPresent(each -> ratio(measure.title(), each, each.interval()));
            }
        }
        samples.throughputRatio(level.base(), plan.seed())
                .ifPresent(each -> ratio("tokens per second", each, inverse(each.interval())));
    }

    /// @param times the interval of a ratio of times, which decides
    private void ratio(String title, Estimate ratio, @Nullable Interval times) {
        line(
                "  %-20s %.3f %-16s %s",
                title, ratio.value(), interval(ratio.interval()), Verdict.of(times).label());
    }

    private static @Nullable Interval inverse(@Nullable Interval rates) {
        return rates == null ? null : new Interval(1 / rates.high(), 1 / rates.low());
    }

    private static String interval(@Nullable Interval interval) {
        return interval == null
                ? ""
                : String.format(Locale.ROOT, "[%.3f, %.3f]", interval.low(), interval.high());
    }
}
