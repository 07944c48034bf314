package dev.lithe.technique.prune;

import com.google.auto.service.AutoService;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.Family;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// Magnitude pruning (Han, Pool, Tran, Dally: "Learning both Weights and Connections for Efficient
/// Neural Networks", arXiv 1506.02626): the smallest weights of each linear become zero. It looks at
/// no data, and is the baseline that [Wanda] and [SparseGpt] must beat.
///
///     magnitude: {sparsity: 0.5, pattern: unstructured, storage: compact, ignore: [lm_head]}
///     magnitude: {pattern: "2:4"}
///
/// W is (N, K). Unstructured, `⌊N K sparsity⌋` weights go, those with the least |w| of the whole
/// linear; with `pattern: "n:m"` all but the n largest of each m inputs side by side, and m must
/// divide K. [Storage] tells what `storage` writes. Zeros buy size: on a processor the linear runs
/// as fast as before. A quantizer may follow where `storage` is dense and its zero is a code, as in
/// symmetric `rtn`; `gptq` and others move zeros, for which [SparseGpt] quantizes by itself.
@AutoService(Technique.class)
public final class Magnitude implements LinearTechnique<Magnitude.Config> {
    /// @param sparsity share of weights that become zero, above 0 and below 1
    /// @param pattern `unstructured`, or weights kept of how many, like `2:4`
    public record Config(
            double sparsity,
            String pattern,
            Storage storage,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            Pattern _ = Pattern.of(pattern, sparsity);
        }

        private Pattern zeros() {
            return Pattern.of(pattern, sparsity);
        }
    }

    @Override
    public String name() {
        return "magnitude";
    }

    @Override
    public Family family() {
        return Family.PRUNING;
    }

    @Override
    public String summary() {
        return "zero the smallest weights of each linear";
    }

    @Override
    public Config defaults() {
        return new Config(
                Pattern.HALF, "unstructured", Storage.COMPACT, List.of(), List.of("lm_head"));
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        LinearForm.Dense dense = Pruned.requireDense(before);
        Pattern pattern = config.zeros();
        pattern.requireDividing(linear.inFeatures());
        long zeros = (long) (linear.weights() * pattern.sparsity(config.sparsity()));
        return Pruned.form(linear, dense, zeros, config.storage());
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)) {
            return before;
        }
        Pattern pattern = config.zeros();
        try (var step = TensorScope.open()) {
            Value weight = dense.weight();
            long width = pattern.anywhere() ? weight.elements() : pattern.of();
            long zeros = (long) (width * pattern.sparsity(config.sparsity()));
            Value keep = step.call("keep_in_rows", step.call("magnitude", weight), width, zeros);
            return Pruned.linear(dense, after, weight, keep, scope);
        }
    }
}
