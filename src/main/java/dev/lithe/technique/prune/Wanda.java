package dev.lithe.technique.prune;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.Map;

/// Wanda (Sun, Liu, Bair, Kolter: "A Simple and Effective Pruning Approach for Large Language
/// Models", arXiv 2306.11695): of each output, the weights go that move it least on the calibration
/// text, each taken by itself; the others stay as they are.
///
/// `score_ij = |w_ij| · ||x_j||₂`, compared within row i.
///
///     wanda: {sparsity: 0.5, pattern: unstructured, storage: compact, ignore: [lm_head]}
///     wanda: {pattern: "2:4"}
///     wanda: {sparsity: 0.6, spread: 0.08}
///
/// W is (N, K). Unstructured, `⌊K sparsity⌋` weights of each row go. Patterns, storage and what may
/// follow are as in [Magnitude]. Later linears see inputs as the pruned ones before them make them.
/// With a `spread` λ, blocks get sparsities of their own about the common one, as [Owl] says.
@AutoService(Technique.class)
public final class Wanda implements CalibratedLinearTechnique<Wanda.Config> {
    /// @param sparsity share of weights that become zero, above 0 and below 1
    /// @param pattern `unstructured`, or weights kept of how many, like `2:4`
    /// @param spread how far the sparsities of blocks lie apart from their mean, about; 0 for none
    public record Config(
            double sparsity,
            String pattern,
            double spread,
            Storage storage,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            Owl.check(spread, sparsity, Pattern.of(pattern, sparsity));
        }

        private Config withSparsity(double own) {
            return new Config(own, pattern, 0, storage, targets, ignore);
        }

        private Pattern zeros() {
            return Pattern.of(pattern, sparsity);
        }

        /// Weights that are compared with each other, of a row of `k`.
        private int width(int k) {
            return zeros().anywhere() ? k : zeros().of();
        }

        private int zerosIn(int width) {
            return (int) (width * zeros().sparsity(sparsity));
        }
    }

    @Override
    public String name() {
        return "wanda";
    }

    @Override
    public Family family() {
        return Family.PRUNING;
    }

    @Override
    public String summary() {
        return "zero the weights of each output that move it least on the calibration text";
    }

    @Override
    public Config defaults() {
        return new Config(
                Pattern.HALF, "unstructured", 0, Storage.COMPACT, List.of(), List.of("lm_head"));
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public boolean settles(Config config) {
        return config.spread() > 0;
    }

    @Override
    public Map<LinearName, Config> settle(WholeModel model, Settings<Config> settings) {
        Config common = settings.common();
        return Owl.settle(
                model,
                targets(common),
                settings,
                common.spread(),
                Config::sparsity,
                Config::withSparsity);
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        LinearForm.Dense dense = Pruned.requireDense(before);
        int k = linear.inFeatures();
        config.zeros().requireDividing(k);
        int width = config.width(k);
        long zeros = linear.weights() / width * config.zerosIn(width);
        return Pruned.form(linear, dense, zeros, config.storage());
    }

    @Override
    public Fitted apply(
            Linear before,
            LinearForm after,
            InputStatistics seen,
            Config config,
            TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)) {
            return new Fitted(before, null);
        }
        try (var step = TensorScope.open()) {
            Value weight = dense.weight();
            int width = config.width(weight.size(1));
            Value score = step.call("activated_magnitude", weight, seen.hessian());
            Value keep = step.call("keep_in_rows", score, width, config.zerosIn(width));
            return new Fitted(Pruned.linear(dense, after, weight, keep, scope), null);
        }
    }
}
