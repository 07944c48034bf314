package dev.lithe.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/// Every timed run of every variant as a dot along an axis of milliseconds, with the median marked.
final class LatencyPlot {
    private static final int WIDTH = 640;
    private static final int ROW = 34;
    private static final int LEFT = 120;
    private static final int RIGHT = 20;
    private static final int TOP = 10;
    private static final int BOTTOM = 44;

    private LatencyPlot() {}

    /// @param label what the times are, such as `time per token`
    /// @param times of a variant's runs
    static String of(
            List<Report.Variant> variants,
            String label,
            Function<Report.Samples, List<Double>> times) {
        List<String> names = new ArrayList<>();
        List<List<Double>> rows = new ArrayList<>();
        for (Report.Variant variant : variants) {
            if (variant.latency() != null && variant.latency().samples() != null) {
                names.add(variant.name());
                rows.add(times.apply(variant.latency().samples()).stream().sorted().toList());
            }
        }
        int bottom = TOP + ROW * rows.size();
        Axis x = Axis.around(rows.stream().flatMap(List::stream).toList(), LEFT, WIDTH - RIGHT);
        var svg = new Svg(WIDTH, bottom + BOTTOM);
        for (double tick : x.ticks()) {
            svg.line(x.place(tick), TOP, x.place(tick), bottom, "grid");
            svg.text(x.place(tick), bottom + 18, "middle", number(tick, x.digits()));
        }
        svg.text((LEFT + WIDTH - RIGHT) / 2.0, bottom + 38, "middle", label + ", ms");
        List<String> told = new ArrayList<>();
        for (int i = 0; i < rows.size(); i++) {
            List<Double> row = rows.get(i);
            double y = TOP + ROW * (i + 0.5);
            double median = row.get(row.size() / 2);
            svg.text(LEFT - 10, y + 4, "end", names.get(i));
            for (double time : row) {
                svg.dot(
                        x.place(time),
                        y,
                        4,
                        (i == 0 ? "original" : "compressed") + " run",
                        number(time, 3));
            }
            svg.line(x.place(median), y - ROW * 0.35, x.place(median), y + ROW * 0.35, "median");
            told.add(names.get(i) + ": median " + number(median, 3) + " ms");
        }
        return svg.describedAs("Runs by " + label + ". " + String.join("; ", told));
    }

    private static String number(double value, int digits) {
        return String.format(Locale.ROOT, "%." + digits + "f", value);
    }
}
