package dev.lithe.report;

import java.util.ArrayList;
import java.util.List;

/// Places values between `low` and `high` on the pixels from `from` to `to`.
record Axis(double low, double high, double from, double to) {
    private static final int STEPS = 5;
    private static final double MARGIN = 0.08;

    /// One that shows all `values` with some room around them.
    static Axis around(List<Double> values, double from, double to) {
        double least = values.stream().mapToDouble(Double::doubleValue).min().orElse(0);
        double most = values.stream().mapToDouble(Double::doubleValue).max().orElse(1);
        double room = most > least ? (most - least) * MARGIN : Math.max(Math.abs(most), 1) * MARGIN;
        return new Axis(least - room, most + room, from, to);
    }

    double place(double value) {
        return from + (value - low) / (high - low) * (to - from);
    }

    /// Round numbers along it: multiples of 1, 2 or 5 times a power of ten.
    List<Double> ticks() {
        double rough = (high - low) / STEPS;
        double power = Math.pow(10, Math.floor(Math.log10(rough)));
        double step = power * (rough < 2 * power ? 1 : rough < 5 * power ? 2 : 5);
        List<Double> ticks = new ArrayList<>();
        for (double k = Math.ceil(low / step); k * step <= high; k++) {
            ticks.add(k * step);
        }
        return ticks;
    }

    /// Digits behind the point that tell neighbouring ticks apart.
    int digits() {
        double rough = (high - low) / STEPS;
        return (int) Math.max(0, -Math.floor(Math.log10(rough)));
    }
}
