package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.Family;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.quantize.Rtn.Activations;
import dev.lithe.technique.quantize.Rtn.Observer;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// Eight-bit floats, E4M3 (Micikevicius et al.: "FP8 Formats for Deep Learning", arXiv 2209.05433),
/// for weights and, per token while the model runs, activations: compressed-tensors' FP8_DYNAMIC.
///
/// `w ≈ e4m3(w / s) s`, `s = max |w| / 448` of an output or of the whole tensor.
///
///     fp8: {granularity: channel, activations: dynamic, observer: minmax, ignore: [lm_head]}
///
/// W is (N, K), any size. Processors without 8-bit floats compute the same numbers in wider ones, so
/// here it saves disk, not memory or time beyond float16's. Its relative error is that of 4
/// significant bits for large and small weights alike, so int8 per channel is usually closer;
/// outliers are what it is for. `observer: mse` tries smaller scales; `activations: none` leaves the
/// inputs alone.
@AutoService(Technique.class)
public final class Fp8 implements LinearTechnique<Fp8.Config> {
    private static final double PASSES_PER_STEP = 20;

    /// Slices of rows that have scales of their own.
    private static final long SLICES_BYTES = 4L << 20;

    /// What shares a scale.
    public enum Granularity {
        CHANNEL,
        TENSOR
    }

    /// @param granularity what shares a scale
    /// @param activations whether inputs are rounded to such floats too
    /// @param observer how a scale is found
    public record Config(
            Granularity granularity,
            Activations activations,
            Observer observer,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
        }
    }

    @Override
    public String name() {
        return "fp8";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "round weights, and activations as they come, to 8-bit floats (E4M3)";
    }

    @Override
    public Config defaults() {
        return new Config(
                Granularity.CHANNEL, Activations.DYNAMIC, Observer.MINMAX, List.of(), List.of());
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        return new LinearForm.Float8(
                config.granularity() == Granularity.TENSOR,
                config.activations() == Activations.DYNAMIC,
                IntegerCodes.requireDense(before).dtype());
    }

    @Override
    public double operations(LinearName linear, Config config) {
        int steps = config.observer() == Observer.MSE ? IntegerCodes.SEARCH_STEPS : 0;
        return ELEMENT * PASSES_PER_STEP * (1 + steps) * linear.weights();
    }

    @Override
    public long workingBytes(LinearName linear, Config config) {
        return config.granularity() == Granularity.TENSOR
                ? WORKING_BYTES * linear.weights()
                : SLICES_BYTES + linear.weights();
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense) || !(after instanceof LinearForm.Float8 form)) {
            return before;
        }
        int steps = config.observer() == Observer.MSE ? IntegerCodes.SEARCH_STEPS : 0;
        List<Value> made =
                scope.call(
                                "float8",
                                dense.weight(),
                                form.perTensor(),
                                steps,
                                form.scaleType().code())
                        .members();
        return new Linear.Float8(made.get(0), made.get(1), dense.bias(), form);
    }
}
