package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
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

/// Round-to-nearest quantization: the baseline that every other quantizer must beat, and good at 8 bits.
///
/// `w ≈ (q - z) s` with `q = clamp(round(w / s) + z)`, one scale `s` (and zero point `z` unless symmetric) per group of
/// inputs or per output channel. The range that sets the scale is searched for the least squared error, as GPTQ's `mse`
/// option and llm-compressor's `mse` observer do; `observer: minmax` takes it as it is.
///
///     rtn: {bits: 4, group_size: 32, symmetric: true, ignore: [lm_head]}
///     rtn: {bits: 8, group_size: 0, activations: dynamic}
///
/// W is (N, K); `group_size` divides K, or is 0 for one scale per row. `activations: dynamic` quantizes the inputs too, per
/// token, when the model runs (W8A8; symmetric 8 bits per channel only). Where the group does not divide K, `indivisible`
/// decides: `int8` stores that linear with 8 bits per channel, `dense` leaves it, `refuse` stops the plan.
@AutoService(Technique.class)
public final class Rtn implements LinearTechnique<Rtn.Config> {
    /// What happens to a linear whose inputs the group size does not divide.
    public enum Indivisible {
        INT8,
        DENSE,
        REFUSE
    }

    /// How the range of a group is found.
    public enum Observer {
        MSE,
        MINMAX
    }

    /// Whether inputs are quantized when the model runs.
    public enum Activations {
        NONE,
        DYNAMIC
    }

    /// @param bits 2 to 8
    /// @param groupSize inputs that share a scale; 0 for a whole row
    /// @param symmetric no zero points
    public record Config(
            int bits,
            int groupSize,
            boolean symmetric,
            Activations activations,
            Observer observer,
            Indivisible indivisible,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            IntegerCodes.checkBits(bits);
            IntegerCodes.checkGroupSize(groupSize);
            if (activations == Activations.DYNAMIC && (bits != 8 || groupSize != 0 || !symmetric)) {
                throw LitheException.badInput(
                        "activations: dynamic needs bits 8, group_size 0 and symmetric true, not %d, %d and %s",
                        bits, groupSize, symmetric);
            }
        }
    }

    @Override
    public String name() {
        return "rtn";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "round weights to the nearest of 2^bits values per group or channel";
    }

    @Override
    public Config defaults() {
        return new Config(
                4,
                32,
                true,
                Activations.NONE,
                Observer.MSE,
                Indivisible.INT8,
                List.of(),
                List.of());
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        return config.activations() == Activations.DYNAMIC
                ? new LinearForm.Int8(IntegerCodes.requireDense(before).dtype())
                : IntegerCodes.form(
                        linear,
                        before,
                        config.bits(),
                        config.groupSize(),
                        config.symmetric(),
                        config.indivisible());
    }

    /// Every weight is touched many times while its group's scale is searched for.
    @Override
    public double operations(LinearName linear, Config config) {
        return IntegerCodes.roundingOperations(linear, steps(config));
    }

    @Override
    public long workingBytes(LinearName linear, Config config) {
        return IntegerCodes.roundingBytes(linear);
    }

    private static int steps(Config config) {
        return config.observer() == Observer.MSE ? IntegerCodes.SEARCH_STEPS : 0;
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)) {
            return before;
        }
        int steps = steps(config);
        return switch (after) {
            case LinearForm.Dense _,
                    LinearForm.Float8 _,
                    LinearForm.Codebook _,
                    LinearForm.Masked _,
                    LinearForm.LowRank _,
                    LinearForm.Shared _ ->
                    before;
            case LinearForm.Int8 form -> IntegerCodes.int8(dense, form, steps, scope);
            case LinearForm.Grouped form -> grouped(dense, form, steps, scope);
        };
    }

    private static Linear grouped(
            Linear.Dense dense, LinearForm.Grouped form, int steps, TensorScope scope) {
        try (var step = TensorScope.open()) {
            List<Value> codes = IntegerCodes.round(dense, form, steps, step);
            return IntegerCodes.grouped(codes, dense, form, scope);
        }
    }
}
