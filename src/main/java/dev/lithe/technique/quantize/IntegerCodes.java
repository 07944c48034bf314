package dev.lithe.technique.quantize;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.WeightTechnique;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.NativeRounding;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What quantizers to integer codes per group have in common: which form they can give a linear,
/// and how codes become it.
final class IntegerCodes {
    /// Clips tried per group in the search for the scale that loses least.
    static final int SEARCH_STEPS = 14;

    /// Passes over each weight to read it, round it and pack its code.
    private static final double PASSES = 50;

    private static final double PASSES_PER_STEP = 14;

    /// Those of the native kernel together, where clips are tried in registers.
    private static final double NATIVE_PASSES = 40;

    /// Slices of rows that stay in the cache, in float32, while libtorch looks for their codes.
    private static final long SLICES_BYTES = 12L << 20;

    private IntegerCodes() {}

    /// Operations of rounding `linear` to nearest, as in [WeightTechnique#operations].
    ///
    /// @param steps clips tried
    static double operations(LinearName linear, double steps) {
        return WeightTechnique.ELEMENT * (PASSES + steps * PASSES_PER_STEP) * linear.weights();
    }

    /// The same of the native kernel, where there is one.
    static double roundingOperations(LinearName linear, double steps) {
        return NativeLibrary.chosen().isPresent()
                ? WeightTechnique.ELEMENT * NATIVE_PASSES * linear.weights()
                : operations(linear, steps);
    }

    /// Bytes that finding codes slice by slice takes.
    static long workingBytes(LinearName linear) {
        return SLICES_BYTES + WeightTechnique.WORKING_BYTES * linear.weights();
    }

    /// Bytes that rounding to nearest takes: codes of a byte each before they are packed, where the
    /// native kernel finds them.
    static long roundingBytes(LinearName linear) {
        return NativeLibrary.chosen().isPresent() ? linear.weights() : workingBytes(linear);
    }

    static void checkBits(int bits) {
        if (bits < 2 || bits > 8) {
            throw LitheException.badInput("bits is %d; choose 2 to 8", bits);
        }
    }

    static void checkGroupSize(int groupSize) {
        if (groupSize != 0 && (groupSize < 8 || groupSize > 1024)) {
            throw LitheException.badInput(
                    "group_size is %d; choose 8 to 1024 (32, 64 and 128 are usual), or 0 for one scale per row",
                    groupSize);
        }
    }

    /// `before`, if it is still dense.
    static LinearForm.Dense requireDense(LinearForm before) {
        if (before instanceof LinearForm.Dense dense) {
            return dense;
        }
        throw LitheException.badInput(
                "already %s, and quantizing twice only adds error; start from the dense model",
                before.label());
    }

    /// The form of `linear`, which must be dense, in groups, or what `indivisible` says where they
    /// do not divide it.
    static LinearForm form(
            LinearName linear,
            LinearForm before,
            int bits,
            int groupSize,
            boolean symmetric,
            Indivisible indivisible) {
        LinearForm.Dense dense = requireDense(before);
        return form(
                linear,
                dense,
                new LinearForm.Grouped(bits, groupSize, symmetric, dense.dtype()),
                groupSize,
                indivisible);
    }

    /// `wanted`, or what `indivisible` says where `groupSize` does not divide the inputs.
    static LinearForm form(
            LinearName linear,
            LinearForm.Dense before,
            LinearForm wanted,
            int groupSize,
            Indivisible indivisible) {
        if (groupSize == 0 || linear.inFeatures() % groupSize == 0) {
            return wanted;
        }
        return switch (indivisible) {
            case INT8 -> new LinearForm.Grouped(8, 0, true, before.dtype());
            case DENSE -> before;
            case REFUSE ->
                    throw LitheException.badInput(
                            "group_size %d does not divide %d inputs; choose another, or indivisible: int8",
                            groupSize, linear.inFeatures());
        };
    }

    /// Weights that share a scale, of a row of K.
    static int group(LinearForm.Grouped form, Value weight) {
        return form.groupSize() == 0 ? weight.size(1) : form.groupSize();
    }

    /// Rounds to nearest with a scale per row.
    ///
    /// @param steps clips tried, or 0 to take ranges as they are
    static Linear int8(Linear.Dense dense, LinearForm.Int8 form, int steps, TensorScope scope) {
        try (var step = TensorScope.open()) {
            int k = dense.weight().size(1);
            List<Value> codes = round(dense.weight(), 8, k, true, steps, form.scaleType(), step);
            return new Linear.Int8(
                    scope.keep(codes.get(0)), scope.keep(codes.get(1)), dense.bias(), form);
        }
    }

    /// Rounds to nearest: the codes that [#grouped] takes.
    static List<Value> round(
            Linear.Dense dense, LinearForm.Grouped form, int steps, TensorScope step) {
        return round(
                dense.weight(),
                form.bits(),
                group(form, dense.weight()),
                form.symmetric(),
                steps,
                form.scaleType(),
                step);
    }

    private static List<Value> round(
            Value weight,
            int bits,
            int group,
            boolean symmetric,
            int steps,
            DType scaleType,
            TensorScope step) {
        Instructions instructions = NativeLibrary.chosen().orElse(null);
        return instructions == null || weight.dtype() == DType.F64
                ? step.call("rtn", weight, bits, group, symmetric, steps, scaleType.code())
                        .members()
                : NativeRounding.round(
                        weight, bits, group, symmetric, steps, scaleType, instructions, step);
    }

    /// The stored form of `codes`: signed q (N, K) int8, scale (N, K / g), and zero (N, K / g)
    /// unless symmetric, as bytes where fractional.
    static Linear grouped(
            List<Value> codes, Linear.Dense dense, LinearForm.Grouped form, TensorScope scope) {
        @Nullable Value zero =
                switch (form.zero()) {
                    case NONE -> null;
                    case INTEGER -> scope.call("pack_zero", codes.get(2), form.bits());
                    case FRACTIONAL -> scope.keep(codes.get(2));
                };
        return new Linear.Grouped(
                packed(codes.getFirst(), form.bits(), scope),
                scope.keep(codes.get(1)),
                zero,
                scope.tensor(dense.weight().shape(), 2),
                dense.bias(),
                form);
    }

    private static Value packed(Value codes, int bits, TensorScope scope) {
        return NativeLibrary.chosen().isPresent() && codes.dtype() == DType.I8
                ? NativeRounding.pack(codes, bits, scope)
                : scope.call("pack_codes", codes, bits);
    }
}
