package dev.lithe.technique.prune;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
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

/// SparseGPT (Frantar, Alistarh: "SparseGPT: Massive Language Models Can Be Accurately Pruned in
/// One-Shot", arXiv 2301.00774): goes through a linear column by column, and the columns to come
/// make up for the weights that are left out.
///
/// With `H = 2/n X Xᵀ + λ I`, `λ = damping · mean(diag H)`, a weight as moved so far costs
/// `w² / [U]_jj²`, `H⁻¹ = Uᵀ U`. Of each block of 128 columns the share `sparsity` that costs least
/// goes, or with `pattern: "n:m"` all but the n dearest of each m columns of a row. The arithmetic
/// is that of [dev.lithe.technique.quantize.Gptq], without its inverse.
///
///     sparsegpt: {sparsity: 0.5, pattern: unstructured, damping: 0.01, storage: compact, ignore: [lm_head]}
///     sparsegpt: {pattern: "2:4", bits: 4, group_size: 32}
///     sparsegpt: {sparsity: 0.6, spread: 0.08}
///
/// W is (N, K), H (K, K). With `bits` (2 to 8), what stays is rounded in the same loop, to symmetric
/// integers that share a scale in each `group_size` inputs; they are stored as `rtn` stores them,
/// zeros too, and m must divide 128. Where H is not positive definite, damping grows tenfold up to
/// 1, and then it is an error. Columns whose inputs were all zero become zero. Patterns and storage
/// are as in [Magnitude].
/// With a `spread` λ, blocks get sparsities of their own about the common one, as [Owl] says.
@AutoService(Technique.class)
public final class SparseGpt implements CalibratedLinearTechnique<SparseGpt.Config> {
    private static final int BLOCK = 128;
    private static final int SEARCH_STEPS = 14;
    private static final int MOST_BITS = 8;
    private static final double LADDER_STEP = 10;
    private static final double FACTOR = 2.5;
    private static final double PASSES = 12;
    private static final long SQUARES = 4;

    /// @param sparsity share of weights that become zero, above 0 and below 1
    /// @param pattern `unstructured`, or weights kept of how many, like `2:4`
    /// @param spread how far the sparsities of blocks lie apart from their mean, about; 0 for none
    /// @param damping share of the mean of diag H that is added to it, above 0 and up to 1
    /// @param bits of what stays, 2 to 8; 0 leaves floats
    /// @param groupSize inputs that share a scale where there are bits; divides 128
    public record Config(
            double sparsity,
            String pattern,
            double spread,
            double damping,
            int bits,
            int groupSize,
            Storage storage,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            Pattern zeros = Pattern.of(pattern, sparsity);
            Owl.check(spread, sparsity, zeros);
            if (!zeros.anywhere() && BLOCK % zeros.of() != 0) {
                throw LitheException.badInput(
                        "pattern %s does not divide blocks of %d columns; choose 2:4 or 4:8",
                        pattern, BLOCK);
            }
            if (!(damping > 0 && damping <= 1)) {
                throw LitheException.badInput(
                        "damping is %s; choose a number above 0 and up to 1 (0.01 is usual)",
                        damping);
            }
            if (bits < 0 || bits == 1 || bits > MOST_BITS) {
                throw LitheException.badInput("bits is %d; choose 2 to 8, or 0 for floats", bits);
            }
            if (groupSize < MOST_BITS || BLOCK % groupSize != 0) {
                throw LitheException.badInput(
                        "group_size is %d; choose 8, 16, 32, 64 or 128", groupSize);
            }
        }

        private Config withSparsity(double own) {
            return new Config(own, pattern, 0, damping, bits, groupSize, storage, targets, ignore);
        }

        private Pattern zeros() {
            return Pattern.of(pattern, sparsity);
        }
    }

    @Override
    public String name() {
        return "sparsegpt";
    }

    @Override
    public Family family() {
        return Family.PRUNING;
    }

    @Override
    public String summary() {
        return "zero weights column by column, later columns making up for them; rounds too with bits";
    }

    @Override
    public Config defaults() {
        return new Config(
                Pattern.HALF,
                "unstructured",
                0,
                0.01,
                0,
                32,
                Storage.COMPACT,
                List.of(),
                List.of("lm_head"));
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
        if (config.bits() == 0) {
            return Pruned.form(linear, dense, zeros(linear, config), config.storage());
        }
        if (k % config.groupSize() != 0) {
            throw LitheException.badInput(
                    "group_size %d does not divide %d inputs; choose another, or ignore this linear",
                    config.groupSize(), k);
        }
        return new LinearForm.Grouped(config.bits(), config.groupSize(), true, dense.dtype());
    }

    private static long zeros(LinearName linear, Config config) {
        long n = linear.outFeatures();
        int k = linear.inFeatures();
        double sparsity = config.zeros().sparsity(config.sparsity());
        return k / BLOCK * (long) (n * BLOCK * sparsity) + (long) (n * (k % BLOCK) * sparsity);
    }

    /// The factor and the sums over columns.
    @Override
    public double operations(LinearName linear, Config config) {
        double n = linear.outFeatures();
        double k = linear.inFeatures();
        return FACTOR * k * k * k + n * k * k + ELEMENT * PASSES * linear.weights();
    }

    /// The Hessian and its factors, or the weights in float32 on their way, with the last factor.
    @Override
    public long workingBytes(LinearName linear, Config config) {
        long square = (long) Float.BYTES * linear.inFeatures() * linear.inFeatures();
        return Math.max(SQUARES * square, square + 4 * Float.BYTES * linear.weights());
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
        double damping = config.damping();
        List<Value> factor = factor(seen, damping);
        while (factor.isEmpty() && damping < 1) {
            damping = Math.min(1, damping * LADDER_STEP);
            factor = factor(seen, damping);
        }
        if (factor.isEmpty()) {
            throw LitheException.badInput(
                    "its Hessian is not positive definite even when damped by 1; calibrate with more"
                            + " tokens, or ignore this linear");
        }
        String trouble = damping == config.damping() ? null : "damped by %.2g".formatted(damping);
        try (var step = TensorScope.open()) {
            List<Value> made = columns(dense, factor, config, step);
            Linear pruned =
                    after instanceof LinearForm.Grouped grouped
                            ? new Linear.Grouped(
                                    scope.call("pack_codes", made.get(0), grouped.bits()),
                                    scope.keep(made.get(1)),
                                    null,
                                    scope.tensor(dense.weight().shape(), 2),
                                    dense.bias(),
                                    grouped)
                            : Pruned.linear(dense, after, made.get(0), made.get(1), scope);
            return new Fitted(pruned, trouble);
        }
    }

    private record Factor(double damping) {}

    private static List<Value> factor(InputStatistics seen, double damping) {
        return seen.derived(
                new Factor(damping),
                owner -> owner.call("gptq_factor", seen.hessian(), 1, false, damping).members());
    }

    private static List<Value> columns(
            Linear.Dense dense, List<Value> factor, Config config, TensorScope step) {
        Pattern pattern = config.zeros();
        return step.call(
                        "sparsegpt",
                        dense.weight(),
                        factor.get(1),
                        factor.get(2),
                        factor.get(3),
                        BLOCK,
                        config.sparsity(),
                        pattern.keep(),
                        pattern.of(),
                        config.bits(),
                        config.groupSize(),
                        SEARCH_STEPS,
                        dense.form().dtype().code())
                .members();
    }
}
