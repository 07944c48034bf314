package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearForm.ZeroPoint;
import dev.lithe.model.LinearName;
import dev.lithe.technique.Family;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// HQQ (Badri, Shaji: "Half-Quadratic Quantization of Large Machine Learning Models", 2023): fits
/// each group's grid to its weights under a norm that forgives outliers. Needs no data.
///
/// Minimizes `‖W - s (Q - z)‖_p` with p < 1 by half-quadratic splitting: `W_e = shrink_p(W - W_r, β)`
/// takes the outliers of the residual, then the grid is fitted to `W - W_e`, and β grows by κ. The
/// authors solve for z alone, starting at the range. Here s is solved for too, in the same least
/// squares; a second fit starts at the range clipped to 0.85; and each group keeps its best grid, by
/// squared error. All three lower the divergence from the original.
///
///     hqq: {bits: 4, group_size: 64, p: 0.7, beta: 10, kappa: 1.01, iterations: 20, ignore: [lm_head]}
///
/// W is (N, K). The zero point is stored in 8 bits as 256 steps of the codes' range, as fine as a
/// float one in effect; rounded to a code, as compressed-tensors has it, it would undo the gain.
/// So the folder is in a format of Lithe's own. A weight of exactly 0 need not stay 0. Groups and
/// `indivisible` are as in [Rtn]. The threshold `|x|^(p-1) / β` is in units of the weights: an
/// error below 0.17, with the authors' p and β, counts as none, and the fit is plain least squares.
@AutoService(Technique.class)
public final class Hqq implements LinearTechnique<Hqq.Config> {
    private static final int MAX_ITERATIONS = 1000;

    /// Slices of rows that stay in the cache while their grids are fitted; besides them, codes.
    private static final long SLICES_BYTES = 3L << 20;

    /// @param bits 2 to 8
    /// @param groupSize inputs that share a scale; 0 for a whole row
    /// @param p of the norm, above 0 and up to 1
    /// @param beta weight of the quadratic term at first
    /// @param kappa its growth per iteration, at least 1
    /// @param iterations at most
    public record Config(
            int bits,
            int groupSize,
            double p,
            double beta,
            double kappa,
            int iterations,
            Indivisible indivisible,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            IntegerCodes.checkBits(bits);
            IntegerCodes.checkGroupSize(groupSize);
            if (!(p > 0 && p <= 1)) {
                throw LitheException.badInput(
                        "p is %s; choose a number above 0 and up to 1 (0.7 is usual)", p);
            }
            if (!(beta > 0 && beta <= 1e6)) {
                throw LitheException.badInput(
                        "beta is %s; choose a number above 0 and up to 1e6 (10 is usual)", beta);
            }
            if (!(kappa >= 1 && kappa <= 10)) {
                throw LitheException.badInput(
                        "kappa is %s; choose a number from 1 to 10 (1.01 is usual)", kappa);
            }
            if (iterations < 1 || iterations > MAX_ITERATIONS) {
                throw LitheException.badInput(
                        "iterations is %d; choose 1 to %d (20 is usual)",
                        iterations, MAX_ITERATIONS);
            }
        }
    }

    @Override
    public String name() {
        return "hqq";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "fit each group's scale and zero point to its weights, outliers forgiven; needs no data";
    }

    @Override
    public Config defaults() {
        return new Config(4, 64, 0.7, 10, 1.01, 20, Indivisible.INT8, List.of(), List.of());
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        LinearForm.Dense dense = IntegerCodes.requireDense(before);
        var wanted =
                new LinearForm.Grouped(
                        config.bits(), config.groupSize(), ZeroPoint.FRACTIONAL, dense.dtype());
        return IntegerCodes.form(linear, dense, wanted, config.groupSize(), config.indivisible());
    }

    /// Two fits, each as long as an equal number of clips.
    @Override
    public double operations(LinearName linear, Config config) {
        return IntegerCodes.operations(linear, 2.0 * config.iterations());
    }

    @Override
    public long workingBytes(LinearName linear, Config config) {
        return SLICES_BYTES + 2 * linear.weights();
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)
                || !(after instanceof LinearForm.Grouped form)) {
            return before;
        }
        try (var step = TensorScope.open()) {
            List<Value> codes =
                    form.zero() == ZeroPoint.FRACTIONAL
                            ? fit(dense, form, config, step)
                            : IntegerCodes.round(dense, form, IntegerCodes.SEARCH_STEPS, step);
            return IntegerCodes.grouped(codes, dense, form, scope);
        }
    }

    private static List<Value> fit(
            Linear.Dense dense, LinearForm.Grouped form, Config config, TensorScope step) {
        return step.call(
                        "hqq",
                        dense.weight(),
                        form.bits(),
                        IntegerCodes.group(form, dense.weight()),
                        config.p(),
                        config.beta(),
                        config.kappa(),
                        config.iterations(),
                        form.scaleType().code())
                .members();
    }
}
