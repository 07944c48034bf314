package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.model.Linear;
import dev.lithe.model.Linear.Codebook.Scales;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.Family;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// NF4, QLoRA's 4-bit NormalFloat (Dettmers, Pagnoni, Holtzman, Zettlemoyer: "QLoRA: Efficient
/// Finetuning of Quantized LLMs", arXiv 2305.14314, section 3 and appendix E): sixteen fixed numbers
/// that a normal variable falls nearest to about equally often, times the largest magnitude of each
/// block of weights.
///
/// `w ≈ table[argmin_j |w / s - table_j|] s`, `s = max |w|` of the block.
///
///     nf4: {group_size: 64, double_quant: true, ignore: [lm_head]}
///
/// W is (N, K); blocks lie within rows. `double_quant` stores the scales, less their mean, as 8-bit
/// integers that share a float32 scale per 256 (integers lose less here than the paper's 8-bit
/// floats): 4.13 bits per weight in blocks of 64, instead of 4.25 with scales of 16 bits. One far
/// larger scale among 256 spoils the others then. `indivisible` is as in [Rtn].
@AutoService(Technique.class)
public final class Nf4 implements LinearTechnique<Nf4.Config> {
    private static final int BITS = 4;

    /// Quantiles of the standard normal distribution scaled to -1 .. 1, with an exact 0.
    private static final float[] TABLE = {
        -1.0f,
        -0.6961928009986877f,
        -0.5250730514526367f,
        -0.39491748809814453f,
        -0.28444138169288635f,
        -0.18477343022823334f,
        -0.09105003625154495f,
        0.0f,
        0.07958029955625534f,
        0.16093020141124725f,
        0.24611230194568634f,
        0.33791524171829224f,
        0.44070982933044434f,
        0.5626170039176941f,
        0.7229568362236023f,
        1.0f
    };

    /// @param groupSize weights of a row that share a scale; 0 for a whole row
    /// @param doubleQuant whether the scales are quantized too
    public record Config(
            int groupSize,
            boolean doubleQuant,
            Indivisible indivisible,
            List<String> targets,
            List<String> ignore) {
        public Config {
            targets = List.copyOf(targets);
            ignore = List.copyOf(ignore);
            IntegerCodes.checkGroupSize(groupSize);
        }
    }

    @Override
    public String name() {
        return "nf4";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "store weights as the nearest of 16 quantiles of a normal distribution, per block";
    }

    @Override
    public Config defaults() {
        return new Config(64, false, Indivisible.INT8, List.of(), List.of());
    }

    @Override
    public Targets targets(Config config) {
        return new Targets(config.targets(), config.ignore());
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        LinearForm.Dense dense = IntegerCodes.requireDense(before);
        int group = config.groupSize() == 0 ? linear.inFeatures() : config.groupSize();
        DType scaleType = config.doubleQuant() ? DType.I8 : dense.dtype();
        var wanted = new LinearForm.Codebook(BITS, group, false, DType.F32, scaleType);
        return IntegerCodes.form(linear, dense, wanted, group, config.indivisible());
    }

    /// Each weight is set against every entry of the table.
    @Override
    public double operations(LinearName linear, Config config) {
        return IntegerCodes.operations(linear, 2);
    }

    /// Slices, and all weights and their magnitudes as floats.
    @Override
    public long workingBytes(LinearName linear, Config config) {
        return IntegerCodes.workingBytes(linear);
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense)) {
            return before;
        }
        try (var step = TensorScope.open()) {
            if (after instanceof LinearForm.Grouped form) {
                int steps = IntegerCodes.SEARCH_STEPS;
                return IntegerCodes.grouped(
                        IntegerCodes.round(dense, form, steps, step), dense, form, scope);
            }
            return after instanceof LinearForm.Codebook form
                    ? quantize(dense, form, scope, step)
                    : before;
        }
    }

    private static Linear quantize(
            Linear.Dense dense, LinearForm.Codebook form, TensorScope scope, TensorScope step) {
        DType floats = form.quantizedScales() ? DType.F32 : form.scaleType();
        Value largest = step.call("absmax", dense.weight(), form.groupSize(), floats.code());
        Scales scales;
        if (form.quantizedScales()) {
            List<Value> parts = scope.call("double_quantize", largest).members();
            scales = new Scales(parts.get(0), parts.get(1), parts.get(2));
        } else {
            scales = new Scales(scope.call("cast", largest, floats.code()), null, null);
        }
        Value table = scope.tensor(TABLE, TABLE.length);
        return new Linear.Codebook(
                scope.call("nearest_entries", dense.weight(), table, scales.read(step), BITS),
                scope.tensor(TABLE, 1, TABLE.length),
                scales,
                scope.tensor(dense.weight().shape(), 2),
                dense.bias(),
                form);
    }
}
