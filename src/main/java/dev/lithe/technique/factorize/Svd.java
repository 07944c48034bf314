package dev.lithe.technique.factorize;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.Factors;
import dev.lithe.technique.Family;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.Weighting;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.Map;

/// Two thin matrices in the place of one, by singular value decomposition: plain, ASVD (Yuan, Shang,
/// Song, Wu, Yan, Sun: "ASVD: Activation-aware Singular Value Decomposition for Compressing Large
/// Language Models", arXiv 2312.05821) or SVD-LLM (Wang, Zheng, Wan, Zhang: "SVD-LLM:
/// Truncation-aware Singular Value Decomposition for Large Language Model Compression", arXiv
/// 2403.07378).
///
/// `W S = U Σ Vᵀ`, `W ≈ (U_r Σ_r) (V_rᵀ S⁻¹)`. S is I with `none`; with `asvd` diagonal,
/// `s_j = |x_j|^α`, where `|x_j|` is the root mean square (the paper takes the mean magnitude); with
/// `whitened` the Cholesky factor of `2/n X Xᵀ` in float64, so that what is cut off is exactly what
/// the outputs lose. X is what the linears before, already compressed, make of the windows.
///
///     svd: {remove: 0.2, weighting: whitened, allocation: uniform, multiple_of: 1, ignore: [lm_head]}
///     svd: {remove: 0.4, allocation: loss}
///     svd: {rank: 64}
///
/// W is (N, K), the factors (N, r) and (r, K), in W's type. `remove` is the share of parameters that
/// goes: `r = ⌊(1 - remove) N K / (N + K)⌋`, rounded down to `multiple_of`. Two factors are
/// smaller, and faster where weights are read from memory, below `r = N K / (N + K)` only: a `rank`
/// that is not is refused, and a linear for which none is stays whole. With `allocation: loss`
/// singular values of all linears go into one order, each by the share of its linear's output that
/// it carries for the parameters that it costs, on the model as it is before this stage; the sum of
/// parameters is that of `uniform`. Quantizing stages that follow take the factors one by one;
/// groups must divide the rank then.
@AutoService(Technique.class)
public final class Svd implements CalibratedLinearTechnique<Svd.Config> {
    private static final double SVD_FACTOR = 20;
    private static final long SQUARES = 5;

    /// How ranks come about.
    public enum Allocation {
        UNIFORM,
        LOSS
    }

    /// @param remove share of the parameters that goes, above 0 and below 1
    /// @param rank of every linear, instead of `remove`; 0 for that
    /// @param alpha of `asvd`, 0 to 1
    /// @param multipleOf divides ranks
    public record Config(
            double remove,
            int rank,
            Weighting weighting,
            double alpha,
            Allocation allocation,
            int multipleOf,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            if (!(remove > 0 && remove < 1)) {
                throw LitheException.badInput(
                        "remove is %s; choose a share above 0 and below 1 (0.2 is usual)", remove);
            }
            if (rank < 0) {
                throw LitheException.badInput(
                        "rank is %d; choose 1 or more, or 0 for what remove leaves", rank);
            }
            if (!(alpha >= 0 && alpha <= 1)) {
                throw LitheException.badInput(
                        "alpha is %s; choose a number from 0 to 1 (0.5 is usual)", alpha);
            }
            if (multipleOf < 1) {
                throw LitheException.badInput("multiple_of is %d; choose 1 or more", multipleOf);
            }
        }

        /// The rank of N outputs and K inputs; 0 where none is worth it.
        long rankOf(long n, long k) {
            if (rank > 0) {
                return rank;
            }
            long most = LinearForm.LowRank.breakEven(n, k);
            return Math.min(most, (long) ((1 - remove) * n * k / (n + k)))
                    / multipleOf
                    * multipleOf;
        }

        /// The same with a rank of its own.
        Config withRank(int own) {
            return new Config(
                    remove, own, weighting, alpha, allocation, multipleOf, targets, ignore);
        }
    }

    @Override
    public String name() {
        return "svd";
    }

    @Override
    public Family family() {
        return Family.FACTORIZATION;
    }

    @Override
    public String summary() {
        return "store linears as products of two thin ones that keep their outputs best";
    }

    @Override
    public Config defaults() {
        return new Config(
                0.2,
                0,
                Weighting.WHITENED,
                0.5,
                Allocation.UNIFORM,
                1,
                List.of(),
                List.of("lm_head"));
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public boolean takesFactors() {
        return false;
    }

    @Override
    public boolean calibrated(Config config) {
        return config.weighting() != Weighting.NONE || config.allocation() == Allocation.LOSS;
    }

    @Override
    public List<String> stageKeys() {
        return List.of("weighting", "alpha", "allocation");
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        if (!(before instanceof LinearForm.Dense)) {
            throw LitheException.badInput(
                    "linears are already %s; it takes dense ones, so it goes before",
                    before.label());
        }
        long n = linear.outFeatures();
        long k = linear.inFeatures();
        long rank = config.rankOf(n, k);
        if (rank > LinearForm.LowRank.breakEven(n, k)) {
            throw LitheException.badInput(
                    "two factors of rank %d have more numbers than the %d x %d that they replace;"
                            + " choose at most %d, or ignore this linear",
                    rank, n, k, LinearForm.LowRank.breakEven(n, k));
        }
        if (rank == 0 && config.multipleOf() <= LinearForm.LowRank.breakEven(n, k)) {
            throw nothingLeft(config.remove(), n, k, config.multipleOf());
        }
        return rank == 0 ? before : new LinearForm.LowRank(before, rank);
    }

    /// What a share is refused with that leaves no rank of a linear of N outputs and K inputs.
    static LitheException nothingLeft(double remove, long n, long k, int multipleOf) {
        return LitheException.badInput(
                "remove is %s, which leaves no rank of %d x %d; choose at most %.4f, or ignore this"
                        + " linear",
                remove,
                n,
                k,
                Math.floor(1e4 * (1 - multipleOf * (double) (n + k) / (n * k))) / 1e4);
    }

    @Override
    public double operations(LinearName linear, Config config) {
        double k = linear.inFeatures();
        double n = linear.outFeatures();
        return SVD_FACTOR * n * k * Math.min(n, k) + k * k * k;
    }

    /// The Hessian and its factor, the weights and both factors, in float64.
    @Override
    public long workingBytes(LinearName linear, Config config) {
        long k = linear.inFeatures();
        return Double.BYTES * SQUARES * (k * k + linear.weights());
    }

    @Override
    public Fitted apply(
            Linear before,
            LinearForm after,
            InputStatistics seen,
            Config config,
            TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)
                || !(after instanceof LinearForm.LowRank form)) {
            return new Fitted(before, null);
        }
        var measure = Factors.measure(seen, config.weighting(), config.alpha());
        return new Fitted(Factors.cut(dense, measure, form.rank(), scope), null);
    }

    @Override
    public boolean settles(Config config) {
        return config.allocation() == Allocation.LOSS;
    }

    @Override
    public Map<LinearName, Config> settle(WholeModel model, Settings<Config> settings) {
        return new RankAllocation(settings, targets(settings.common())).ranks(model);
    }
}
