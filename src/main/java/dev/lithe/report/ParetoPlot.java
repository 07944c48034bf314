package dev.lithe.report;

import dev.lithe.report.Report.Ratio;
import dev.lithe.report.Report.Variant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// Size against quality: a point per variant, with the interval of its perplexity ratio. Further
/// left is smaller, further down is better.
final class ParetoPlot {
    private static final int WIDTH = 640;
    private static final int HEIGHT = 320;
    private static final int LEFT = 70;
    private static final int RIGHT = 20;
    private static final int TOP = 16;
    private static final int BOTTOM = 48;
    private static final double MEGA = 1e6;

    /// @param low of the interval; the ratio itself where there is none
    private record Point(String name, double megabytes, double ratio, double low, double high) {
        static Point of(Variant variant) {
            double megabytes = variant.bytesOnDisk() / MEGA;
            if (variant.ratios() == null) {
                return new Point(variant.name(), megabytes, 1, 1, 1);
            }
            Ratio ratio = variant.ratios().perplexity();
            if (ratio == null) {
                return new Point(variant.name(), megabytes, Double.NaN, Double.NaN, Double.NaN);
            }
            return new Point(
                    variant.name(),
                    megabytes,
                    ratio.value(),
                    ratio.low() == null ? ratio.value() : ratio.low(),
                    ratio.high() == null ? ratio.value() : ratio.high());
        }
    }

    private ParetoPlot() {}

    static String of(List<Variant> variants) {
        List<Point> points =
                variants.stream()
                        .map(Point::of)
                        .filter(point -> !Double.isNaN(point.ratio))
                        .toList();
        List<Double> ratios = new ArrayList<>();
        points.forEach(point -> ratios.addAll(List.of(point.low, point.high)));
        Axis x = Axis.around(points.stream().map(Point::megabytes).toList(), LEFT, WIDTH - RIGHT);
        Axis y = Axis.around(ratios, HEIGHT - BOTTOM, TOP);
        var svg = new Svg(WIDTH, HEIGHT);
        for (double tick : x.ticks()) {
            svg.line(x.place(tick), TOP, x.place(tick), HEIGHT - BOTTOM, "grid");
            svg.text(x.place(tick), HEIGHT - BOTTOM + 18, "middle", number(tick, x.digits()));
        }
        for (double tick : y.ticks()) {
            svg.line(LEFT, y.place(tick), WIDTH - RIGHT, y.place(tick), "grid");
            svg.text(LEFT - 8, y.place(tick) + 4, "end", number(tick, y.digits()));
        }
        svg.text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, "middle", "size on disk, MB");
        svg.text(LEFT - 60, TOP - 4, "start", "perplexity ratio");
        for (int i = 0; i < points.size(); i++) {
            Point point = points.get(i);
            double across = x.place(point.megabytes);
            boolean right = across > (LEFT + WIDTH) / 2.0;
            svg.line(across, y.place(point.low), across, y.place(point.high), "interval");
            svg.dot(
                    across,
                    y.place(point.ratio),
                    5,
                    i == 0 ? "original" : "compressed",
                    told(point));
            svg.text(
                    across + (right ? -9 : 9),
                    y.place(point.ratio) + 4,
                    right ? "end" : "start",
                    point.name);
        }
        return svg.describedAs(
                "Perplexity ratio by size on disk. "
                        + String.join("; ", points.stream().map(ParetoPlot::told).toList()));
    }

    private static String told(Point point) {
        return point.name
                + ": "
                + number(point.megabytes, 2)
                + " MB, perplexity ratio "
                + number(point.ratio, 3);
    }

    private static String number(double value, int digits) {
        return String.format(Locale.ROOT, "%." + digits + "f", value);
    }
}
