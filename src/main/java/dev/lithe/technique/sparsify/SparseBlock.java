package dev.lithe.technique.sparsify;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.ActivationThresholds;
import dev.lithe.model.DecoderBlock;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Shares of the inputs of one block that count as 0, found greedily (TEAL's algorithm 1).
final class SparseBlock {
    /// The largest share at one place.
    static final double MOST = 0.9;

    /// Share of the block's weights that one step leaves unread.
    private static final double STEP = 0.05;

    /// Magnitudes of an input that are kept, about; enough for quantiles.
    private static final int KEPT = 1 << 20;

    private final LoadedPart part;
    private final double[] weights = new double[ActivationThresholds.SLOTS.size()];
    private final List<float[]> magnitudes = new ArrayList<>();

    /// @param part stands before calibration windows
    SparseBlock(LoadedPart part) {
        this.part = part;
        for (Slot slot : ActivationThresholds.SLOTS) {
            List<LinearName> linears = part.part().linears(slot);
            weights[magnitudes.size()] = linears.stream().mapToLong(LinearName::weights).sum();
            magnitudes.add(
                    linears.isEmpty()
                            ? new float[1]
                            : magnitudes(slot, linears.getFirst().inFeatures()));
        }
    }

    /// In rising order.
    private float[] magnitudes(Slot slot, int width) {
        int step = Math.toIntExact(1 + part.tokens() * width / KEPT);
        List<float[]> pieces = new ArrayList<>();
        part.show(slot, (x, scope) -> pieces.add(scope.call("some_magnitudes", x, step).floats()));
        float[] all = new float[pieces.stream().mapToInt(piece -> piece.length).sum()];
        int at = 0;
        for (float[] piece : pieces) {
            System.arraycopy(piece, 0, all, at, piece.length);
            at += piece.length;
        }
        Arrays.sort(all);
        return all;
    }

    /// Thresholds of its slots with which `sparsity` of its weights are not read.
    ///
    /// A slot's step costs no less after steps of others, so only the cheapest by what each cost
    /// when it was last measured is measured again (Minoux' lazy greedy algorithm).
    List<Double> thresholds(double sparsity) {
        double all = Arrays.stream(weights).sum();
        double[] shares = new double[weights.length];
        double[] costs = new double[weights.length];
        try (var scope = TensorScope.open()) {
            List<Value> inputs = part.inputs();
            DecoderBlock block = part.runnable(scope);
            List<Value> dense = inputs.stream().map(x -> output(block, x, scope)).toList();
            double error = 0;
            double left = sparsity * all;
            while (left > 1e-9 * all) {
                double step = Math.min(left, STEP * all);
                boolean[] measured = new boolean[weights.length];
                int next = cheapest(costs, shares);
                while (next >= 0 && !measured[next]) {
                    costs[next] = error(block, with(shares, next, step), inputs, dense) - error;
                    measured[next] = true;
                    next = cheapest(costs, shares);
                }
                if (next < 0) {
                    break; // at its most everywhere
                }
                double before = shares[next];
                shares = with(shares, next, step);
                left -= (shares[next] - before) * weights[next];
                error += costs[next];
            }
        }
        return thresholds(shares);
    }

    /// `shares` with `step` more weights unread at one place, as far as that goes.
    private double[] with(double[] shares, int place, double step) {
        double[] more = shares.clone();
        more[place] = Math.min(MOST, more[place] + step / weights[place]);
        return more;
    }

    /// The place with the least cost that can take more, or -1.
    private int cheapest(double[] costs, double[] shares) {
        int cheapest = -1;
        for (int i = 0; i < costs.length; i++) {
            if (weights[i] > 0
                    && shares[i] < MOST
                    && (cheapest < 0 || costs[i] < costs[cheapest])) {
                cheapest = i;
            }
        }
        return cheapest;
    }

    private List<Double> thresholds(double[] shares) {
        List<Double> thresholds = new ArrayList<>();
        for (int i = 0; i < shares.length; i++) {
            float[] sorted = magnitudes.get(i);
            thresholds.add((double) sorted[(int) (shares[i] * sorted.length)]);
            if (shares[i] == 0) {
                thresholds.set(i, 0.0);
            }
        }
        return thresholds;
    }

    private double error(
            DecoderBlock block, double[] shares, List<Value> inputs, List<Value> dense) {
        block.limit(new ActivationThresholds(List.of(thresholds(shares)), 0));
        double error = 0;
        for (int i = 0; i < inputs.size(); i++) {
            try (var step = TensorScope.open()) {
                Value y = output(block, inputs.get(i), step);
                error += step.call("squared_distance", y, dense.get(i)).number();
            }
        }
        return error;
    }

    private static Value output(DecoderBlock block, Value x, TensorScope scope) {
        return block.output(block.afterAttention(x, scope), scope);
    }
}
