package dev.lithe.report;

import dev.lithe.report.Report.Stage;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/// Where size and quality went, stage by stage: each bar reaches from what the stage before left to
/// what this one leaves.
final class Waterfall {
    private static final int WIDTH = 640;
    private static final int LETTER = 7;
    private static final int LONGEST = 40; // letters of a name that are drawn
    private static final int RIGHT = 130;
    private static final int TOP = 8;
    private static final int ROW = 28;
    private static final int THICK = 16;
    private static final double MEGA = 1e6;

    private Waterfall() {}

    /// Megabytes on disk, from the original down.
    static String size(List<Stage> stages) {
        return of(
                stages,
                "Size on disk in MB",
                stage -> stage.bytesOnDisk() / MEGA,
                stage -> number(stage.bytesOnDisk() / MEGA, 2));
    }

    /// KL divergence from the original, in thousandths of a nat, and the perplexity ratio.
    static String divergence(List<Stage> stages) {
        return of(
                stages,
                "KL divergence from the original in thousandths of a nat, and perplexity ratio",
                stage -> stage.klDivergence() == null ? Double.NaN : 1000 * stage.klDivergence(),
                Waterfall::quality);
    }

    private static String quality(Stage stage) {
        String divergence =
                stage.klDivergence() == null ? "" : number(1000 * stage.klDivergence(), 2);
        return stage.perplexityRatio() == null
                ? divergence
                : divergence + ", × " + number(stage.perplexityRatio(), 3);
    }

    private static String number(double value, int digits) {
        return String.format(Locale.ROOT, "%." + digits + "f", value);
    }

    private static String drawn(String name) {
        return name.length() <= LONGEST ? name : name.substring(0, LONGEST - 1) + "…";
    }

    private static String of(
            List<Stage> stages,
            String what,
            ToDoubleFunction<Stage> value,
            Function<Stage, String> text) {
        int longest = stages.stream().mapToInt(stage -> stage.name().length()).max().orElse(0);
        int left = 2 * LETTER + LETTER * Math.clamp(longest, 18, LONGEST);
        double most = stages.stream().mapToDouble(value).filter(Double::isFinite).max().orElse(1);
        var axis = new Axis(0, most > 0 ? most : 1, left, WIDTH - RIGHT);
        var svg = new Svg(WIDTH, TOP + ROW * stages.size() + TOP);
        List<String> told = new ArrayList<>();
        double before = 0;
        for (int i = 0; i < stages.size(); i++) {
            Stage stage = stages.get(i);
            double now = value.applyAsDouble(stage);
            double top = TOP + i * (double) ROW;
            if (Double.isNaN(now)) {
                svg.text(left - 8, top + THICK - 4, "end", drawn(stage.name()));
                svg.text(left + 6, top + THICK - 4, "start", "other tokens");
                told.add(stage.name() + ": other tokens");
                continue;
            }
            double from = axis.place(Math.min(before, now));
            double to = axis.place(Math.max(before, now));
            svg.bar(from, top, Math.max(1, to - from), THICK, i == 0 ? "original" : "compressed");
            svg.text(left - 8, top + THICK - 4, "end", drawn(stage.name()));
            svg.text(to + 6, top + THICK - 4, "start", text.apply(stage));
            told.add(stage.name() + ": " + text.apply(stage));
            before = now;
        }
        return svg.describedAs(what + ", stage by stage. " + String.join("; ", told));
    }
}
