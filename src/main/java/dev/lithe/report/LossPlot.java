package dev.lithe.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// How the loss of a training fell, step by step: a line for what it trained on, dots for what it
/// was judged by.
final class LossPlot {
    private static final int WIDTH = 640;
    private static final int HEIGHT = 260;
    private static final int LEFT = 70;
    private static final int RIGHT = 20;
    private static final int TOP = 16;
    private static final int BOTTOM = 48;

    private LossPlot() {}

    static String of(Report.Training training) {
        List<List<Double>> all = new ArrayList<>(training.loss());
        all.addAll(training.heldOut());
        Axis x = new Axis(0, Math.max(1, training.steps()), LEFT, WIDTH - RIGHT);
        Axis y = Axis.around(all.stream().map(List::getLast).toList(), HEIGHT - BOTTOM, TOP);
        var svg = new Svg(WIDTH, HEIGHT);
        for (double tick : x.ticks()) {
            svg.line(x.place(tick), TOP, x.place(tick), HEIGHT - BOTTOM, "grid");
            svg.text(x.place(tick), HEIGHT - BOTTOM + 18, "middle", number(tick, x.digits()));
        }
        for (double tick : y.ticks()) {
            svg.line(LEFT, y.place(tick), WIDTH - RIGHT, y.place(tick), "grid");
            svg.text(LEFT - 8, y.place(tick) + 4, "end", number(tick, y.digits()));
        }
        svg.text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, "middle", "step");
        svg.text(LEFT - 60, TOP - 4, "start", "loss");
        for (int i = 1; i < training.loss().size(); i++) {
            List<Double> from = training.loss().get(i - 1);
            List<Double> to = training.loss().get(i);
            svg.line(
                    x.place(from.getFirst()),
                    y.place(from.getLast()),
                    x.place(to.getFirst()),
                    y.place(to.getLast()),
                    "loss");
        }
        for (List<Double> point : training.heldOut()) {
            String told = "step " + number(point.getFirst(), 0) + ": " + number(point.getLast(), 4);
            svg.dot(x.place(point.getFirst()), y.place(point.getLast()), 3.5, "compressed", told);
        }
        return svg.describedAs("Loss of " + training.stage() + " by step. " + ends(training));
    }

    private static String ends(Report.Training training) {
        List<List<Double>> heldOut = training.heldOut();
        return heldOut.isEmpty()
                ? ""
                : "Held out: from "
                        + number(heldOut.getFirst().getLast(), 4)
                        + " to "
                        + number(heldOut.getLast().getLast(), 4);
    }

    private static String number(double value, int digits) {
        return String.format(Locale.ROOT, "%." + digits + "f", value);
    }
}
