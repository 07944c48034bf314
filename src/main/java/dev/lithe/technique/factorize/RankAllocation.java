package dev.lithe.technique.factorize;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.Factors;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Shares a budget of parameters out among linears: the singular value comes next that carries most
/// of its linear's output for the parameters that it costs.
final class RankAllocation {
    private final Settings<Svd.Config> settings;
    private final Targets targets;
    private final Map<LinearName, Long> ranks = new LinkedHashMap<>();
    private final List<Step> steps = new ArrayList<>();
    private long budget;

    /// `multipleOf` more singular values of a linear.
    private record Step(LinearName name, double worth, long cost) {}

    RankAllocation(Settings<Svd.Config> settings, Targets targets) {
        this.settings = settings;
        this.targets = targets;
    }

    /// The configuration of each linear of `model` that has no rank of its own yet.
    Map<LinearName, Svd.Config> ranks(WholeModel model) {
        model.walk(this::measure);
        steps.sort(Comparator.comparingDouble(Step::worth).reversed());
        for (Step step : steps) {
            if (step.cost() <= budget) {
                budget -= step.cost();
                ranks.merge(step.name(), (long) settings.of(step.name()).multipleOf(), Long::sum);
            }
        }
        Map<LinearName, Svd.Config> settled = new LinkedHashMap<>();
        ranks.forEach((name, rank) ->
                settled.put(name, settings.of(name).withRank(Math.toIntExact(rank))));
        return settled;
    }

    private void measure(LoadedPart part) {
        for (Slot slot : part.part().slots()) {
            try (var step = TensorScope.open()) {
                InputStatistics seen = null;
                for (LinearName name : part.part().linears(slot)) {
                    Svd.Config config = settings.of(name);
                    boolean open =
                            targets.include(name)
                                    && config.rank() == 0
                                    && config.rankOf(name.outFeatures(), name.inFeatures()) > 0;
                    if (open && part.linear(name) instanceof Linear.Dense dense) {
                        seen = seen == null ? part.statistics(slot, step) : seen;
                        Value measure = Factors.measure(seen, config.weighting(), config.alpha());
                        Value values = step.call("singular_values", dense.weight(), measure);
                        add(name, config, values.floats());
                    }
                }
            }
        }
    }

    private void add(LinearName name, Svd.Config config, float[] values) {
        long n = name.outFeatures();
        long k = name.inFeatures();
        double all = 0;
        for (float value : values) {
            all += (double) value * value;
        }
        int each = config.multipleOf();
        long most = LinearForm.LowRank.breakEven(n, k) / each;
        budget += config.rankOf(n, k) * (n + k) - each * (n + k);
        ranks.put(name, (long) each);
        for (int i = 1; i < most; i++) {
            double carried = 0;
            for (int j = i * each; j < Math.min((i + 1) * each, values.length); j++) {
                carried += (double) values[j] * values[j];
            }
            double worth = all > 0 ? carried / all / (each * (double) (n + k)) : 0;
            steps.add(new Step(name, worth, each * (n + k)));
        }
    }
}
