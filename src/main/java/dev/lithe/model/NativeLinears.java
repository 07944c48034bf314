package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.NativeModelBuilder;
import dev.lithe.tensor.NativeModelBuilder.Layout;
import dev.lithe.tensor.NativeModelBuilder.Memory;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.HashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Lays single linears out for the kernels of `src/main/c`: floats stay where the checkpoint's
/// mapped file has them, and integers go as codes to a copy that replaces libtorch's.
///
/// Inputs of integer weights are rounded to a byte per token where the form says so; for other
/// integers to one byte per group up to 4 bits, and to two bytes above, where a group is long, and
/// in the output layer, so that the input's rounding stays far below the weights'.
final class NativeLinears {
    /// Longest group whose inputs one byte each describes well enough for 4-bit weights.
    private static final int LONGEST_ONE_BYTE_GROUP = 128;

    /// Bits of a weight, at most, that one byte per input goes with.
    private static final int FEW_BITS = 4;

    /// Where a linear goes.
    ///
    /// @param layout how float weights lie there
    /// @param factor whether it is the first of two that follow each other
    /// @param output whether it makes logits
    record Place(int slot, Layout layout, boolean factor, boolean output) {}

    private final NativeModelBuilder model;
    private final TensorScope scope;
    private final Set<Long> read = new HashSet<>();
    private long borrowedBytes;

    /// Those of `model`; what it borrows is kept in `scope`.
    NativeLinears(NativeModelBuilder model, TensorScope scope) {
        this.model = model;
        this.scope = scope;
    }

    /// Bytes that the model borrows.
    long borrowed() {
        return borrowedBytes;
    }

    /// Adds one, with its bias as float32, at the end of its slot.
    void add(Place place, Linear linear, @Nullable Value bias, TensorScope step) {
        switch (linear) {
            case Linear.Shared shared -> add(place, shared.of(), bias, step);
            case Linear.LowRank _ ->
                    throw LitheException.of(
                            Fault.INTERNAL, "a factor of a linear is a product of factors");
            case Linear.Dense dense -> addDense(place, dense.weight(), bias);
            case Linear.Int8 int8 -> addInt8(place, int8, bias, step);
            case Linear.Float8 float8 -> {
                Value weight = step.call("cast", float8.weight(), DType.F16.code());
                long rows = weight.size(0);
                Value scale = step.call("scale_of_rows", float8.scale(), rows);
                model.floats(place.slot(), weight, Layout.AS_STORED, Memory.COPIED, scale, bias);
            }
            case Linear.Codebook _, Linear.Masked _ ->
                    addExpanded(place, DenseWeights.of(linear, step), bias, step);
            case Linear.Grouped grouped -> addGrouped(place, grouped, bias, step);
        }
    }

    /// Weights stay where the checkpoint has them, unless they lie otherwise or are those of first
    /// factors: these are thin, and a copy lies in large pages.
    private void addDense(Place place, Value weight, @Nullable Value bias) {
        Value kept = scope.keep(weight);
        Value readable = kept.dtype() == DType.F64 ? scope.call("to_float", kept) : kept;
        boolean borrowed = place.layout() == Layout.AS_STORED && !place.factor();
        Memory memory = borrowed ? Memory.BORROWED : Memory.COPIED_ONCE;
        model.floats(place.slot(), readable, place.layout(), memory, null, bias);
        if (borrowed && read.add(readable.address())) {
            borrowedBytes += readable.bytes(); // once, though several linears may read it
        }
    }

    /// As float16 where none is too large for it.
    private void addExpanded(Place place, Value weight, @Nullable Value bias, TensorScope step) {
        boolean fits = step.call("count_overflow", weight, DType.F16.code()).integer() == 0;
        Value stored = fits ? step.call("cast", weight, DType.F16.code()) : weight;
        model.floats(place.slot(), stored, place.layout(), Memory.COPIED, null, bias);
    }

    private void addInt8(Place place, Linear.Int8 linear, @Nullable Value bias, TensorScope step) {
        Value weight = linear.weight();
        int n = weight.size(0);
        int k = weight.size(1);
        int planes = linear.form().dynamicActivations() ? 1 : 2;
        Value scale = step.call("to_float", linear.scale());
        model.codes(
                place.slot(),
                new NativeModelBuilder.Codes(weight, Byte.SIZE, n, k, k, planes, scale, null),
                bias);
    }

    private void addGrouped(
            Place place, Linear.Grouped linear, @Nullable Value bias, TensorScope step) {
        long[] shape = linear.shape().longs();
        LinearForm.Grouped form = linear.form();
        long group = form.groupSize() == 0 ? shape[1] : form.groupSize();
        boolean coarse = form.bits() <= FEW_BITS && group <= LONGEST_ONE_BYTE_GROUP;
        int planes = coarse && !place.output() ? 1 : 2;
        Value scale = step.call("to_float", linear.scale());
        Value zero =
                form.symmetric() ? null : step.call("to_float", DenseWeights.zero(linear, step));
        var codes =
                new NativeModelBuilder.Codes(
                        linear.packed(),
                        form.bits(),
                        shape[0],
                        shape[1],
                        group,
                        planes,
                        scale,
                        zero);
        model.codes(place.slot(), codes, bias);
    }
}
