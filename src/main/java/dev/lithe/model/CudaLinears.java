package dev.lithe.model;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// libtorch's kernels on a CUDA device: floats in the type they are stored in; int8 with dynamic
/// activations by `_int_mm`; 4 bits by `_weight_int4pack_mm`; float8 with dynamic activations by
/// `_scaled_mm`. What none of them takes becomes bfloat16, which holds the codes of int8 and float8
/// exactly; their scales are applied to the output.
record CudaLinears(PartList parts, Products products) implements LinearKernels {
    private static final int FLOAT = 0;
    private static final int SCALED = 9;
    private static final int SCALED_FLOAT8_INPUT = 10;
    private static final int FLOAT8 = 11;
    private static final int INT4_TILES = 12;

    /// Rows that `_int_mm` needs, and what inputs and outputs of a weight must be a multiple of.
    private static final int INT8_ROWS = 32;

    private static final int INT8_MULTIPLE = 8;

    /// What inputs and outputs must be a multiple of for `_scaled_mm`.
    private static final int FLOAT8_MULTIPLE = 16;

    /// Which of the products that not every chip has work on a device; found out by running each
    /// once.
    ///
    /// @param int4 from compute capability 8.0 on
    /// @param float8 from 8.9 on
    record Products(boolean int4, boolean float8) {
        static Products of(Device device) {
            return new Products(
                    works("int4_tiles_work", device), works("float8_matmul_works", device));
        }

        private static boolean works(String probe, Device device) {
            try (var scope = TensorScope.open()) {
                return scope.call(probe, device.name()).flag();
            } catch (LitheException _) {
                return false;
            }
        }
    }

    @Override
    public void addDense(FusedRows rows) {
        Value weight = rows.of(linear -> ((Linear.Dense) linear).weight());
        DType stored = weight.dtype();
        boolean narrow = stored == DType.F16 || stored == DType.BF16;
        Value readable = narrow ? weight : rows.step().call("to_float", weight);
        parts.add(FLOAT, parts.nextTensor(), 0, List.of(readable), rows.bias());
        parts.count(narrow ? stored.torchName() : DType.F32.torchName());
    }

    @Override
    public void addInt8(LinearForm.Int8 form, FusedRows rows) {
        if (!form.dynamicActivations()) {
            addScaled(SCALED, form.label(), rows);
            return;
        }
        addInt8Product(rows, INT8_MULTIPLE, INT8_ROWS);
        parts.count("int8, dynamic activations");
    }

    @Override
    public void addFloat8(LinearForm.Float8 form, FusedRows rows) {
        Linear.Float8 first = (Linear.Float8) rows.first();
        boolean fits =
                first.weight().size(1) % FLOAT8_MULTIPLE == 0
                        && rows.alike().stream()
                                .allMatch(linear ->
                                        ((Linear.Float8) linear).weight().size(0) % FLOAT8_MULTIPLE
                                                == 0);
        if (!form.dynamicActivations()) {
            addScaled(SCALED, form.label(), rows);
        } else if (!products.float8() || !fits) {
            addScaled(SCALED_FLOAT8_INPUT, form.label(), rows);
        } else {
            Value weight = rows.step().call("cast", rows.scaledRows(), DType.F8_E4M3.code());
            Value columns = rows.step().call("transposed", weight);
            List<Value> all = List.of(columns, rows.rowScales(), rows.step().call("ones", 1));
            parts.add(FLOAT8, parts.nextTensor(), 0, all, rows.bias());
            parts.count("float8, dynamic activations");
        }
    }

    private void addScaled(int kind, String label, FusedRows rows) {
        Value weight = rows.step().call("cast", rows.scaledRows(), DType.BF16.code());
        int index = parts.nextTensor();
        parts.add(kind, index, index + 1L, List.of(weight, rows.rowScales()), rows.bias());
        parts.count(label);
    }

    @Override
    public void addGrouped(LinearForm.Grouped form, FusedRows rows) {
        if (!products.int4() || !LinearKernels.takesInt4(form, rows)) {
            addExpanded(form.label(), rows);
            return;
        }
        addInt4(
                INT4_TILES,
                form,
                rows,
                DType.BF16,
                codes -> {
                    Value bytes = rows.step().call("int4_bytes", codes);
                    return rows.step().call("int4_tiles", parts.device().place(bytes, rows.step()));
                });
    }

    @Override
    public void addExpanded(String label, FusedRows rows) {
        Value weight = rows.step().call("cast", rows.expanded(), DType.BF16.code());
        parts.add(FLOAT, parts.nextTensor(), 0, List.of(weight), rows.bias());
        parts.count("bfloat16, expanded from " + label);
    }
}
