package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.Family;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.technique.quantize.Rtn.Observer;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// GPTQ (Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization for
/// Generative Pre-trained Transformers", arXiv 2210.17323): quantizes a linear's columns one by
/// one, and moves those not yet quantized so that the output on the calibration text changes least.
///
/// With `H = 2/n X Xᵀ + λ I`, `λ = damping · mean(diag H)`, column i after column i rounds
/// `w_i - Σ_j δ_j T_ji` over the columns j < i, where `δ_j = q_j - w_j` is what they lost, `H = R Rᵀ`
/// with R upper triangular, and `T_ji = R_ji / R_ii`. The sums are taken lazily, in blocks of 128.
/// This is the paper's update without its inverse (a fourth of the arithmetic), as Chen, Shabanzadeh,
/// Crnčević, Hoefler, Alistarh show: "The Geometry of LLM Quantization: GPTQ as Babai's Nearest Plane
/// Algorithm", arXiv 2507.18553.
///
///     gptq: {bits: 4, group_size: 32, symmetric: true, act_order: true, damping: 0.01, ignore: [lm_head]}
///
/// W is (N, K), H (K, K). `act_order` takes columns in descending order of `diag H`, but group by
/// group, the group with the most important column first. So groups stay as they are stored, and a
/// group's scale is found from its weights as moved so far; fixing all scales beforehand, the other
/// way to keep groups together, loses more. The search for scales is Rtn's, with errors weighted by
/// `diag H`. Columns whose inputs were all zero become zero.
/// Where H is not positive definite, damping grows tenfold up to 1; then the linear is rounded to
/// nearest, and the user is told. Groups, `observer` and `indivisible` are as in [Rtn].
@AutoService(Technique.class)
public final class Gptq implements CalibratedLinearTechnique<Gptq.Config> {
    private static final int BLOCK = 128;
    private static final int STEP = 16;
    private static final double LADDER_STEP = 10;

    /// Operations of the factor per K³: a third, that run slower than products.
    private static final double FACTOR = 2.5;

    private static final double PASSES_PER_STEP = 24;

    /// Matrices as large as the Hessian that are there at a time, with those inside libtorch.
    private static final long SQUARES = 4;

    /// @param bits 2 to 8
    /// @param groupSize inputs that share a scale; 0 for a whole row
    /// @param symmetric no zero points
    /// @param actOrder important columns first
    /// @param damping share of the mean of diag H that is added to it, above 0 and up to 1
    public record Config(
            int bits,
            int groupSize,
            boolean symmetric,
            boolean actOrder,
            double damping,
            Observer observer,
            Indivisible indivisible,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            IntegerCodes.checkBits(bits);
            IntegerCodes.checkGroupSize(groupSize);
            if (!(damping > 0 && damping <= 1)) {
                throw LitheException.badInput(
                        "damping is %s; choose a number above 0 and up to 1 (0.01 is usual)",
                        damping);
            }
        }
    }

    @Override
    public String name() {
        return "gptq";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "quantize column by column, later columns making up for the error of earlier ones";
    }

    @Override
    public Config defaults() {
        return new Config(
                4, 32, true, true, 0.01, Observer.MSE, Indivisible.INT8, List.of(), List.of());
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        return IntegerCodes.form(
                linear,
                before,
                config.bits(),
                config.groupSize(),
                config.symmetric(),
                config.indivisible());
    }

    /// The factor, the sums over columns, and the search for scales.
    @Override
    public double operations(LinearName linear, Config config) {
        double n = linear.outFeatures();
        double k = linear.inFeatures();
        return FACTOR * k * k * k
                + n * k * k
                + ELEMENT * (1 + steps(config)) * PASSES_PER_STEP * linear.weights();
    }

    /// The Hessian in order and its factors, or the weights in float32 on their way into order,
    /// with the last factor.
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
        if (!(before instanceof Linear.Dense dense)
                || !(after instanceof LinearForm.Grouped form)) {
            return new Fitted(before, null);
        }
        for (double damping = config.damping(); ; damping = Math.min(1, damping * LADDER_STEP)) {
            var how =
                    new Factor(
                            IntegerCodes.group(form, dense.weight()), config.actOrder(), damping);
            List<Value> factor = seen.derived(how, owner -> how.of(seen.hessian(), owner));
            try (var step = TensorScope.open()) {
                if (!factor.isEmpty()) {
                    List<Value> codes = codes(dense, form, factor, config, step);
                    return new Fitted(
                            IntegerCodes.grouped(codes, dense, form, scope),
                            damping == config.damping()
                                    ? null
                                    : "damped by %.2g".formatted(damping));
                }
                if (damping == 1) {
                    List<Value> codes = IntegerCodes.round(dense, form, steps(config), step);
                    return new Fitted(
                            IntegerCodes.grouped(codes, dense, form, scope),
                            "rounded to nearest: its Hessian is not positive definite");
                }
            }
        }
    }

    /// What the factors of a Hessian depend on besides it: the linears of a slot share them.
    private record Factor(int group, boolean actOrder, double damping) {
        /// Order, cost and T of `gptq.py`; nothing where H is not positive definite.
        List<Value> of(Value hessian, TensorScope owner) {
            return owner.call("gptq_factor", hessian, group, actOrder, damping).members();
        }
    }

    private static List<Value> codes(
            Linear.Dense dense,
            LinearForm.Grouped form,
            List<Value> factor,
            Config config,
            TensorScope step) {
        int group = IntegerCodes.group(form, dense.weight());
        return step.call(
                        "gptq",
                        dense.weight(),
                        factor.get(0),
                        factor.get(1),
                        factor.get(2),
                        form.bits(),
                        group,
                        form.symmetric(),
                        Math.max(group, near(BLOCK, group)),
                        near(STEP, group),
                        steps(config),
                        form.scaleType().code())
                .members();
    }

    private static int steps(Config config) {
        return config.observer() == Observer.MSE ? IntegerCodes.SEARCH_STEPS : 0;
    }

    /// About `columns`: whole groups, or what divides one.
    private static int near(int columns, int group) {
        if (group <= columns) {
            return columns / group * group;
        }
        int divisor = columns;
        while (group % divisor != 0) {
            divisor--;
        }
        return divisor;
    }
}
