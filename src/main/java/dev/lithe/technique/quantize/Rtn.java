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
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

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
    private static final int SEARCH_STEPS = 20;

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
            if (bits < 2 || bits > 8) {
                throw LitheException.badInput("bits is %d; choose 2 to 8", bits);
            }
            if (groupSize != 0 && (groupSize < 8 || groupSize > 1024)) {
                throw LitheException.badInput(
                        "group_size is %d; choose 8 to 1024 (32, 64 and 128 are usual), or 0 for one scale per row",
                        groupSize);
            }
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
        if (!(before instanceof LinearForm.Dense dense)) {
            throw LitheException.badInput(
                    "already %s, and quantizing twice only adds error; start from the dense model",
                    before.label());
        }
        DType scaleType = dense.dtype();
        if (config.activations() == Activations.DYNAMIC) {
            return new LinearForm.Int8(scaleType);
        }
        boolean divides = config.groupSize() == 0 || linear.inFeatures() % config.groupSize() == 0;
        if (divides) {
            return new LinearForm.Grouped(
                    config.bits(), config.groupSize(), config.symmetric(), scaleType);
        }
        return switch (config.indivisible()) {
            case INT8 -> new LinearForm.Grouped(8, 0, true, scaleType);
            case DENSE -> before;
            case REFUSE ->
                    throw LitheException.badInput(
                            "group_size %d does not divide %d inputs; choose another, or indivisible: int8",
                            config.groupSize(), linear.inFeatures());
        };
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)) {
            return before;
        }
        int steps = config.observer() == Observer.MSE ? SEARCH_STEPS : 0;
        return switch (after) {
            case LinearForm.Dense _ -> before;
            case LinearForm.Int8 form -> int8(dense, form, steps, scope);
            case LinearForm.Grouped form -> grouped(dense, form, steps, scope);
        };
    }

    private static Linear int8(
            Linear.Dense dense, LinearForm.Int8 form, int steps, TensorScope scope) {
        try (var step = TensorScope.open()) {
            int k = dense.weight().size(1);
            List<Value> codes =
                    step.call("rtn", dense.weight(), 8, k, true, steps, form.scaleType().code())
                            .members();
            return new Linear.Int8(
                    scope.keep(codes.get(0)), scope.keep(codes.get(1)), dense.bias(), form);
        }
    }

    private static Linear grouped(
            Linear.Dense dense, LinearForm.Grouped form, int steps, TensorScope scope) {
        try (var step = TensorScope.open()) {
            int n = dense.weight().size(0);
            int k = dense.weight().size(1);
            int group = form.groupSize() == 0 ? k : form.groupSize();
            List<Value> codes =
                    step.call(
                                    "rtn",
                                    dense.weight(),
                                    form.bits(),
                                    group,
                                    form.symmetric(),
                                    steps,
                                    form.scaleType().code())
                            .members();
            @Nullable Value zero =
                    form.symmetric() ? null : scope.call("pack_zero", codes.get(2), form.bits());
            return new Linear.Grouped(
                    scope.call("pack_codes", codes.get(0), form.bits()),
                    scope.keep(codes.get(1)),
                    zero,
                    scope.tensor(new long[] {n, k}, 2),
                    dense.bias(),
                    form);
        }
    }
}
