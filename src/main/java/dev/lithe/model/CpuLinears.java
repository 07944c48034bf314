package dev.lithe.model;

import dev.lithe.tensor.DType;
import dev.lithe.tensor.Value;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// libtorch's kernels on the processor: packed float16 and int8 where it has them ([FastKernels]),
/// and its 4-bit product.
record CpuLinears(PartList parts) implements LinearKernels {
    private static final int FLOAT32 = 0;
    private static final int FLOAT16 = 1;
    private static final int INT8_DYNAMIC = 2;
    private static final int INT4_GROUPED = 4;
    private static final int SCALED = 5;
    private static final int SCALED_FLOAT8_INPUT = 6;
    private static final int FLOAT32_FLOAT8_INPUT = 7;

    @Override
    public void addDense(FusedRows rows) {
        boolean half = rows.first().floatType() != DType.F32;
        addFloats(rows, rows.of(linear -> ((Linear.Dense) linear).weight()), half, "");
    }

    /// Float weights, packed as float16 where `half` and none is too large for it. What was stored
    /// as float16 stays exact; other weights are rounded to its 11 bits.
    private void addFloats(FusedRows rows, Value weight, boolean half, String origin) {
        @Nullable Value bias = rows.bias();
        boolean fits =
                half
                        && FastKernels.FLOAT16
                        && rows.step().call("count_overflow", weight, DType.F16.code()).integer()
                                == 0;
        if (fits) {
            parts.add(FLOAT16, packFloat16(rows, weight), 0, List.of(), bias);
            parts.count("float16" + origin);
        } else {
            Value floats = rows.step().call("to_float", weight);
            parts.add(FLOAT32, parts.nextTensor(), 0, List.of(floats), bias);
            parts.count("float32" + origin);
        }
    }

    private long packFloat16(FusedRows rows, Value weight) {
        parts.packedBytes(weight.elements() * DType.F16.bytes());
        return rows.step().call("pack_float16", weight, parts.packed()).integer();
    }

    @Override
    public void addInt8(LinearForm.Int8 form, FusedRows rows) {
        if (!form.dynamicActivations()) {
            addScaled(rows, false, form.label());
            return;
        }
        if (FastKernels.INT8) {
            Value weight = rows.int8Weights();
            Value scale = rows.int8Scales();
            @Nullable Value bias = rows.bias();
            long index = rows.step().call("pack_int8", weight, scale, parts.packed()).integer();
            parts.add(INT8_DYNAMIC, index, 0, List.of(), bias);
            parts.packedBytes(weight.elements() + scale.elements() * DType.F32.bytes());
        } else {
            addInt8Product(rows, 1, 0);
        }
        parts.count("int8, dynamic activations");
    }

    @Override
    public void addFloat8(LinearForm.Float8 form, FusedRows rows) {
        addScaled(rows, form.dynamicActivations(), form.label());
    }

    /// Weights of at most 11 significant bits with a scale per row, which is applied to the output:
    /// so packed float16 holds them exactly. `rounded` inputs are first rounded to float8.
    private void addScaled(FusedRows rows, boolean rounded, String label) {
        Value weight = rows.scaledRows();
        Value scale = rows.rowScales();
        @Nullable Value bias = rows.bias();
        if (FastKernels.FLOAT16) {
            int kind = rounded ? SCALED_FLOAT8_INPUT : SCALED;
            long index = packFloat16(rows, weight);
            parts.add(kind, index, parts.nextTensor(), List.of(scale), bias);
        } else {
            int kind = rounded ? FLOAT32_FLOAT8_INPUT : FLOAT32;
            Value scaled = rows.step().call("scale_rows", weight, scale);
            parts.add(kind, parts.nextTensor(), 0, List.of(scaled), bias);
        }
        parts.count(label);
    }

    @Override
    public void addGrouped(LinearForm.Grouped form, FusedRows rows) {
        if (!LinearKernels.takesInt4(form, rows)) {
            addExpanded(form.label(), rows);
            return;
        }
        DType many = FastKernels.BFLOAT16 ? DType.BF16 : DType.F32;
        addInt4(INT4_GROUPED, form, rows, many, codes -> rows.step().call("int4_rows", codes));
    }

    @Override
    public void addExpanded(String label, FusedRows rows) {
        addFloats(rows, rows.expanded(), true, ", expanded from " + label);
    }
}
