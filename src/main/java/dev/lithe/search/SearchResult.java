package dev.lithe.search;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.report.Report;
import dev.lithe.report.Report.Ratio;
import dev.lithe.report.Units;
import dev.lithe.search.Goal.Preference;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// What a search found. The winner is the first of the finalists. Where quality is preferred, it
/// is, of those that are as good as every single technique within the limits both in KL divergence
/// and in perplexity, the one with the least divergence; where none is, of all.
///
/// @param tried recipes, the finalists among them
/// @param seconds that all trials took
/// @param finalists the best first; measured on the evaluation text
public record SearchResult(Goal goal, int tried, double seconds, List<Finalist> finalists) {
    /// A recipe that was measured on the evaluation text.
    ///
    /// @param number in the order in which recipes were tried
    /// @param folder the compressed model
    record Finalist(int number, Proposal proposal, Path folder, Outcome outcome, Report report) {
        String name() {
            return number + " " + proposal.summary();
        }

        Report.Variant variant() {
            return report.compressed().getFirst();
        }

        @Nullable Ratio time() {
            Report.Ratios ratios = variant().ratios();
            return ratios == null ? null : ratios.tpot();
        }

        @Nullable Ratio perplexity() {
            Report.Ratios ratios = variant().ratios();
            return ratios == null ? null : ratios.perplexity();
        }

        /// Whether it is no larger, no farther from the original and not detectably slower than
        /// `other`, and not the same.
        boolean beats(Finalist other) {
            return Front.beats(outcome, other.outcome) && !slower(time(), other.time());
        }

        private static boolean slower(@Nullable Ratio a, @Nullable Ratio b) {
            return a != null && b != null && low(a) > high(b);
        }

        private static double low(Ratio ratio) {
            return ratio.low() == null ? ratio.value() : ratio.low();
        }

        private static double high(Ratio ratio) {
            return ratio.high() == null ? ratio.value() : ratio.high();
        }
    }

    public SearchResult {
        finalists = List.copyOf(finalists);
    }

    static SearchResult of(Goal goal, int tried, double seconds, List<Finalist> finalists) {
        var order = Comparator.comparing(Finalist::outcome, goal.order());
        var sorted =
                new SearchResult(goal, tried, seconds, finalists.stream().sorted(order).toList());
        List<Finalist> ranked = new ArrayList<>(sorted.finalists);
        ranked.stream()
                .filter(sorted::noWorseThanSingles)
                .findFirst()
                .ifPresent(winner -> {
                    ranked.remove(winner);
                    ranked.addFirst(winner);
                });
        return new SearchResult(goal, tried, seconds, ranked);
    }

    Finalist winner() {
        return finalists.getFirst();
    }

    /// The best of those that are one technique alone, or null where none was measured: where
    /// quality is preferred, that with the least perplexity within the limits.
    @Nullable Finalist bestSingle() {
        return measuredSingles()
                .min(Comparator.comparingDouble(each -> each.outcome().perplexityRatio()))
                .or(() -> singles().findFirst())
                .orElse(null);
    }

    private Stream<Finalist> singles() {
        return finalists.stream().filter(each -> each.proposal().single());
    }

    /// What the winner is measured by: none where bytes or time are preferred.
    private Stream<Finalist> measuredSingles() {
        return singles().filter(each -> goal.preference() == Preference.QUALITY && keeps(each));
    }

    private boolean keeps(Finalist each) {
        return goal.excess(each.outcome()) == 0;
    }

    private boolean noWorseThanSingles(Finalist finalist) {
        Outcome outcome = finalist.outcome();
        return keeps(finalist)
                && measuredSingles()
                        .map(Finalist::outcome)
                        .allMatch(single ->
                                outcome.kl() <= single.kl()
                                        && outcome.perplexityRatio() <= single.perplexityRatio());
    }

    /// Finalists that none other beats in bytes, divergence and time, the smallest first. Time
    /// counts where intervals are apart.
    List<Finalist> front() {
        return Front.of(finalists, Finalist::beats).stream()
                .sorted(Comparator.comparingLong(each -> each.outcome().bytes()))
                .toList();
    }

    /// The original and the finalists in one report, which plots them.
    Report report() {
        Report first = winner().report();
        List<Report.Variant> variants = new ArrayList<>(List.of(first.original()));
        finalists.forEach(each -> variants.add(each.variant().named(each.name())));
        return new Report(
                first.schema(),
                first.model(),
                first.environment(),
                first.evaluation(),
                variants,
                continuations());
    }

    /// Finalists were shown the same words; none where a report has others, as of another version.
    private List<Report.Continuation> continuations() {
        List<Report.Continuation> all = new ArrayList<>();
        List<Report.Continuation> first = winner().report().continuations();
        if (finalists.stream().anyMatch(each -> !prompts(each).equals(prompts(winner())))) {
            return List.of();
        }
        for (int i = 0; i < first.size(); i++) {
            List<String> texts = new ArrayList<>(List.of(first.get(i).texts().getFirst()));
            for (Finalist each : finalists) {
                texts.add(each.report().continuations().get(i).texts().getLast());
            }
            all.add(new Report.Continuation(first.get(i).prompt(), texts));
        }
        return all;
    }

    private static List<String> prompts(Finalist each) {
        return each.report().continuations().stream().map(Report.Continuation::prompt).toList();
    }

    /// For people: the Pareto front, the winner and the best single technique.
    public String table() {
        var text = new StringBuilder();
        text.append(
                row("", "bytes", "ratio", "perplexity ratio", "KL", "time per token", "recipe"));
        for (Finalist each : front()) {
            text.append(row(each == winner() ? "*" : "", each));
        }
        text.append('\n')
                .append(missed().isEmpty() ? "winner     " : "nearest    ")
                .append(line(winner()))
                .append('\n');
        Finalist single = bestSingle();
        if (single != null) {
            text.append("single     ").append(line(single)).append('\n');
            if (measuredSingles().findAny().isPresent() && !noWorseThanSingles(winner())) {
                text.append(note(single));
            }
        }
        return text.toString();
    }

    private String row(String mark, Finalist each) {
        Ratio time = each.time();
        return row(
                mark,
                Units.bytes(each.outcome().bytes()),
                text("%.3f", share(each)),
                text("%.4f", each.outcome().perplexityRatio()),
                text("%.5f", each.outcome().kl()),
                time == null ? "-" : text("%.2f ×", time.value()),
                each.name());
    }

    private static String row(String... cells) {
        return text("%-2s%-9s %-6s %-17s %-9s %-15s %s", (Object[]) cells).stripTrailing() + "\n";
    }

    private double share(Finalist each) {
        return (double) each.outcome().bytes() / each.report().original().bytesOnDisk();
    }

    private String line(Finalist each) {
        return text(
                "%s · %.3f × the bytes · perplexity ratio %.4f%s · KL %.5f",
                each.name(),
                share(each),
                each.outcome().perplexityRatio(),
                interval(each.perplexity()),
                each.outcome().kl());
    }

    /// Says that no finalist is as good as every single technique in both measures.
    private String note(Finalist single) {
        return text(
                "note       ranked by KL alone: no finalist is as good as every single technique in both; the"
                        + " winner has perplexity ratio %.4f and KL %.5f, the single technique %.4f and"
                        + " %.5f\n",
                winner().outcome().perplexityRatio(),
                winner().outcome().kl(),
                single.outcome().perplexityRatio(),
                single.outcome().kl());
    }

    private static String interval(@Nullable Ratio ratio) {
        return ratio == null || ratio.low() == null || ratio.high() == null
                ? ""
                : text(" [%.4f, %.4f]", ratio.low(), ratio.high());
    }

    private static String text(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }

    /// For programs.
    public ObjectNode toJson() {
        ObjectNode root = JsonNodeFactory.instance.objectNode();
        root.put("schema", "lithe.search/v1");
        root.put("tried", tried).put("seconds", seconds);
        root.put("within_limits", missed().isEmpty());
        root.put(
                "no_worse_than_singles",
                goal.preference() == Preference.QUALITY
                        ? Boolean.valueOf(noWorseThanSingles(winner()))
                        : null);
        root.set("winner", json(winner()));
        Finalist single = bestSingle();
        root.set("best_single", single == null ? null : json(single));
        ArrayNode front = root.putArray("front");
        front().forEach(each -> front.add(json(each)));
        ArrayNode all = root.putArray("finalists");
        finalists.forEach(each -> all.add(json(each)));
        return root;
    }

    private ObjectNode json(Finalist each) {
        ObjectNode node = each.outcome().toJson();
        node.put("number", each.number()).put("single", each.proposal().single());
        Ratio perplexity = each.perplexity();
        node.put("perplexity_ratio_low", perplexity == null ? null : perplexity.low());
        node.put("perplexity_ratio_high", perplexity == null ? null : perplexity.high());
        node.put("bytes_ratio", share(each)).put("folder", each.folder().toString());
        Report.Latency latency = each.variant().latency();
        node.put("tpot_ms", latency == null ? null : Double.valueOf(latency.tpotMs().p50()));
        node.set("recipe", each.proposal().stages());
        return node;
    }

    private List<String> missed() {
        return goal.missed(winner().outcome());
    }

    /// Fails where the winner misses a limit.
    ///
    /// @throws LitheException with [Fault#QUALITY_GATE], which names the nearest point
    public void requireWithinLimits() {
        if (!missed().isEmpty()) {
            throw LitheException.of(
                    Fault.QUALITY_GATE,
                    "no recipe keeps the limits; the nearest, %s, has %s; allow more, or give a longer"
                            + " --budget",
                    winner().name(),
                    String.join(" and ", missed()));
        }
    }
}
