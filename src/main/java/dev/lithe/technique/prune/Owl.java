package dev.lithe.technique.prune;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.ToDoubleFunction;

/// A sparsity for each block (Yin et al.: "Outlier Weighed Layerwise Sparsity", arXiv 2310.05175):
/// blocks with more weights that matter far more than their mean keep more.
///
/// Of each block, D is the share of weights with `|w_ij| ||x_j||` above five times the block's
/// mean. Densities follow D, from the block with the least to the one with the most 2 λ apart, and
/// their mean is the one asked for.
final class Owl {
    private static final double TIMES = 5;

    private Owl() {}

    /// Refuses a spread that leads to sparsities of 0 or 1, or between which a pattern leaves no
    /// choice.
    static void check(double spread, double sparsity, Pattern pattern) {
        boolean fits = spread >= 0 && sparsity - 2 * spread > 0 && sparsity + 2 * spread < 1;
        if (!fits) {
            throw LitheException.badInput(
                    "spread is %s about a sparsity of %s; choose less (0.08 is usual, 0 for none)",
                    spread, sparsity);
        }
        if (spread > 0 && !pattern.anywhere()) {
            throw LitheException.badInput(
                    "pattern %d:%d gives every block the same sparsity; leave spread out",
                    pattern.keep(), pattern.of());
        }
    }

    /// A configuration for each linear of `targets` in a block whose own says the common sparsity.
    ///
    /// @param sparsity of a configuration
    /// @param with the same configuration with another sparsity
    static <C extends Record> Map<LinearName, C> settle(
            WholeModel model,
            Targets targets,
            Settings<C> settings,
            double spread,
            ToDoubleFunction<C> sparsity,
            BiFunction<C, Double, C> with) {
        double common = sparsity.applyAsDouble(settings.common());
        Map<Integer, Double> outliers = new LinkedHashMap<>();
        Map<Integer, List<LinearName>> open = new LinkedHashMap<>();
        model.walk(part -> {
            List<LinearName> names =
                    part.part().linears().stream()
                            .filter(targets::include)
                            .filter(name -> part.linear(name) instanceof Linear.Dense)
                            .filter(name -> sparsity.applyAsDouble(settings.of(name)) == common)
                            .toList();
            if (part.part().kind() == Kind.BLOCK && !names.isEmpty()) {
                open.put(part.part().block(), names);
                outliers.put(part.part().block(), outliers(part, names));
            }
        });
        var range = outliers.values().stream().mapToDouble(each -> each).summaryStatistics();
        double width = range.getMax() - range.getMin();
        Map<LinearName, C> settled = new LinkedHashMap<>();
        outliers.forEach((block, share) -> {
            double above = width > 0 ? (share - range.getAverage()) / width : 0;
            double own = common - 2 * spread * above;
            open.getOrDefault(block, List.of())
                    .forEach(name -> settled.put(name, with.apply(settings.of(name), own)));
        });
        return settled;
    }

    private static double outliers(LoadedPart part, List<LinearName> names) {
        try (var step = TensorScope.open()) {
            List<Value> scores = new ArrayList<>();
            for (Slot slot : part.part().slots()) {
                List<LinearName> own = new ArrayList<>(part.part().linears(slot));
                own.retainAll(names);
                if (!own.isEmpty()) {
                    Value hessian = part.statistics(slot, step).hessian();
                    for (LinearName name : own) {
                        Value weight = ((Linear.Dense) part.linear(name)).weight();
                        scores.add(step.call("activated_magnitude", weight, hessian));
                    }
                }
            }
            return step.call("outlier_share", step.list(scores), TIMES).number();
        }
    }
}
