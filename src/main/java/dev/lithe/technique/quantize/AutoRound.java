package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.technique.Family;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.technique.quantize.Rtn.Observer;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Machine;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// AutoRound (Cheng, Zhang, Shen, Cai, He, Lv, Liu: "Optimize Weight Rounding via Signed Gradient
/// Descent for the Quantization of LLMs", arXiv 2309.05516): learns for each weight whether to round
/// it up or down, and for each group how wide its range is, from what a whole block makes of the
/// calibration windows.
///
/// `w ≈ (round(u) - z) f s`, with u and f learned: `||block_w(x) - y||²` falls, where x is what the
/// compressed blocks before it give and y the original's stream behind it. Each step takes a few
/// windows, passes rounding straight through, and moves u by `r` and f by `scale_rate · r` against
/// the sign of its slope, with `r` falling linearly from 1 / iterations to 0: so u can reach either
/// neighbour. What has not lowered the error on all windows is dropped for the start.
///
///     autoround: {bits: 2, group_size: 32, start: gptq, iterations: 200, batch: 2, ignore: [lm_head]}
///
/// Learning starts from the codes and scales of [Gptq] or [Rtn]; u lies where the weight does, as
/// far as it rounds to the code found. Zero points stay as found: one that moves shifts its whole
/// group, and the block never recovers. The output layer learns by the divergence of the
/// predictions; the embedding, where named, keeps its start. Norms and linears that the stage leaves
/// alone take part as they are. `precision` is that of the matrix products while learning, as
/// fast as bfloat16 where the processor has it. Groups and `indivisible` are as in [Rtn].
@AutoService(Technique.class)
public final class AutoRound implements BlockTechnique<AutoRound.Config> {
    /// Tokens of a calibration window, where nothing else is said.
    private static final int USUAL_CONTEXT = 256;

    private static final int MAX_ITERATIONS = 100_000;
    private static final int MAX_BATCH = 1024;

    /// Codes before rounding, weights made of them, a copy in which gradients are recorded, another
    /// in the multiplications' type, gradients, and what a step makes of them.
    private static final int BYTES_PER_WEIGHT = 28;

    private static final double DAMPING = 0.01;
    private static final Gptq GPTQ = new Gptq();

    /// Where learning starts.
    public enum Start {
        GPTQ,
        RTN
    }

    /// @param bits 2 to 8
    /// @param groupSize inputs that share a scale; 0 for a whole row
    /// @param symmetric no zero points
    /// @param iterations steps per block; 0 leaves it at the start
    /// @param batch windows that a step looks at
    /// @param scaleRate how far scales go in a step, as a multiple of how far codes do; 0 leaves
    ///   them
    /// @param precision of the multiplications while learning
    /// @param seed of the order of the windows
    public record Config(
            int bits,
            int groupSize,
            boolean symmetric,
            Start start,
            int iterations,
            int batch,
            double scaleRate,
            DType precision,
            long seed,
            Indivisible indivisible,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            IntegerCodes.checkBits(bits);
            IntegerCodes.checkGroupSize(groupSize);
            if (iterations < 0 || iterations > MAX_ITERATIONS) {
                throw LitheException.badInput(
                        "iterations is %d; choose 0 to %d (200 is usual)",
                        iterations, MAX_ITERATIONS);
            }
            if (batch < 1 || batch > MAX_BATCH) {
                throw LitheException.badInput("batch is %d; choose 1 to %d", batch, MAX_BATCH);
            }
            if (!(scaleRate >= 0 && scaleRate <= 10)) {
                throw LitheException.badInput(
                        "scale_rate is %s; choose 0 to 10 (1 is usual)", scaleRate);
            }
            if (precision != DType.F32 && precision != DType.BF16) {
                throw LitheException.badInput(
                        "precision is %s; choose bfloat16 or float32", precision.torchName());
            }
        }
    }

    @Override
    public String name() {
        return "autoround";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "quantize a block at a time, learning by gradients which weights to round up or down";
    }

    @Override
    public Config defaults() {
        return new Config(
                4,
                32,
                true,
                Start.GPTQ,
                200,
                2,
                1,
                Machine.trainingPrecision(),
                0,
                Indivisible.INT8,
                List.of(),
                List.of());
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public boolean needsTargets(Config config) {
        return config.iterations() > 0;
    }

    @Override
    public List<String> stageKeys() {
        return List.of("iterations", "batch", "scale_rate", "precision", "seed");
    }

    /// A step runs its windows forward and backward: six operations per weight and token.
    @Override
    public double operations(LinearName linear, Config config) {
        double tokens = (double) config.iterations() * config.batch() * USUAL_CONTEXT;
        return 6 * tokens * linear.weights();
    }

    @Override
    public int bytesPerWeight(Config config) {
        return config.iterations() > 0 ? BYTES_PER_WEIGHT : 0;
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

    @Override
    public void apply(LoadedPart part, Settings<Config> settings) {
        Config common = settings.common();
        List<LinearName> chosen =
                part.part().linears().stream().filter(targets(common)::include).toList();
        Map<LinearName, Linear.Dense> before = new HashMap<>();
        for (LinearName name : chosen) {
            if (part.linear(name) instanceof Linear.Dense dense) {
                before.put(name, dense);
            }
        }
        for (Slot slot : part.part().slots()) {
            start(part, chosen.stream().filter(name -> name.slot() == slot).toList(), settings);
        }
        if (common.iterations() > 0 && part.part().kind() != Kind.EMBEDDING && !chosen.isEmpty()) {
            learn(part, before, common);
        }
    }

    private static void learn(
            LoadedPart part, Map<LinearName, Linear.Dense> before, Config config) {
        try (var scope = TensorScope.open()) {
            var codes = new LearnedCodes(part, before, scope);
            if (codes.isEmpty()) {
                return;
            }
            DType precision = config.precision();
            int samples = part.inputs().stream().mapToInt(piece -> piece.size(0)).sum();
            boolean block = part.part().kind() == Kind.BLOCK;
            RoundingLoss loss =
                    block
                            ? new BlockError(part, codes, precision, scope)
                            : new OutputDivergence(
                                    part,
                                    codes,
                                    before.values().iterator().next().weight(),
                                    precision,
                                    scope);
            var descent =
                    new SignDescent(
                            config.iterations(),
                            Math.min(config.batch(), loss.mostWindows()),
                            config.scaleRate(),
                            config.seed() + part.part().block());
            if (descent.lower(loss, samples)) {
                codes.store(part);
            }
        }
    }

    /// Gives the linears of a slot the codes at which learning starts.
    private void start(LoadedPart part, List<LinearName> slot, Settings<Config> settings) {
        try (var step = TensorScope.open()) {
            @Nullable InputStatistics seen = null;
            for (LinearName name : slot) {
                Config config = settings.of(name);
                Linear before = part.linear(name);
                LinearForm after = outcome(name, before.form(), config);
                if (!(before instanceof Linear.Dense dense)
                        || !(after instanceof LinearForm.Grouped form)) {
                    continue;
                }
                if (config.start() == Start.RTN) {
                    List<Value> codes =
                            IntegerCodes.round(dense, form, IntegerCodes.SEARCH_STEPS, step);
                    part.set(name, IntegerCodes.grouped(codes, dense, form, step));
                    continue;
                }
                if (seen == null) {
                    seen = part.statistics(name.slot(), step);
                }
                Fitted fitted = GPTQ.apply(dense, form, seen, gptq(config), step);
                part.set(name, fitted.linear());
                part.note(name, fitted.trouble());
            }
        }
    }

    private static Gptq.Config gptq(Config config) {
        return new Gptq.Config(
                config.bits(),
                config.groupSize(),
                config.symmetric(),
                true,
                DAMPING,
                Observer.MSE,
                config.indivisible(),
                List.of(),
                List.of());
    }
}
