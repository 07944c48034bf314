package dev.lithe.model;

import dev.lithe.tensor.DType;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/// Chooses for linears the kernel of `linear.py` that runs them, and lays out their weights for it.
sealed interface LinearKernels permits CpuLinears, CudaLinears {
    /// Group sizes and the row multiple that libtorch's 4-bit kernels take.
    List<Integer> INT4_GROUPS = List.of(32, 64, 128, 256);

    int INT4_ROWS = 16;

    /// Its number in `linear.py`.
    int INT8_DYNAMIC_MATMUL = 3;

    /// Those of the device that `parts` is for.
    static LinearKernels of(PartList parts) {
        Device device = parts.device();
        return device.isCpu()
                ? new CpuLinears(parts)
                : new CudaLinears(parts, CudaLinears.Products.of(device));
    }

    /// What they are added to.
    PartList parts();

    void addDense(FusedRows rows);

    void addInt8(LinearForm.Int8 form, FusedRows rows);

    void addFloat8(LinearForm.Float8 form, FusedRows rows);

    void addGrouped(LinearForm.Grouped form, FusedRows rows);

    /// Those of another form, whose name is `label`, as floats.
    void addExpanded(String label, FusedRows rows);

    /// Adds int8 with dynamic activations for a product of integers.
    ///
    /// @param multiple what inputs and outputs have to be a multiple of
    /// @param least rows that it needs
    default void addInt8Product(FusedRows rows, int multiple, int least) {
        Value weight = rows.int8Weights();
        List<Value> prepared =
                rows.step().call("prepare_int8", weight, rows.int8Scales(), multiple).members();
        parts().add(INT8_DYNAMIC_MATMUL, parts().nextTensor(), least, prepared, rows.bias());
    }

    /// Adds 4 bits for one of libtorch's products.
    ///
    /// @param type what many rows are multiplied in
    /// @param layOut makes of the codes what kernel number `kind` reads
    default void addInt4(
            int kind,
            LinearForm.Grouped form,
            FusedRows rows,
            DType type,
            UnaryOperator<Value> layOut) {
        Value made =
                rows.step()
                        .call(
                                "prepare_int4",
                                rows.packedCodes(),
                                rows.groupScales(),
                                rows.zeros(),
                                inFeatures(rows),
                                type.code());
        List<Value> prepared = new ArrayList<>(made.members());
        prepared.set(0, layOut.apply(prepared.getFirst()));
        parts().add(kind, parts().nextTensor(), groupSize(form, rows), prepared, rows.bias());
        parts().count("int4 grouped");
    }

    /// Whether a form of 4 bits can be laid out for libtorch's kernels.
    static boolean takesInt4(LinearForm.Grouped form, FusedRows rows) {
        return form.bits() == 4
                && INT4_GROUPS.contains(groupSize(form, rows))
                && rows.alike().stream()
                                        .mapToLong(linear ->
                                                ((Linear.Grouped) linear).shape().longs()[0])
                                        .sum()
                                % INT4_ROWS
                        == 0;
    }

    /// Inputs K of grouped linears.
    static int inFeatures(FusedRows rows) {
        return Math.toIntExact(((Linear.Grouped) rows.first()).shape().longs()[1]);
    }

    /// Weights that share a scale.
    static int groupSize(LinearForm.Grouped form, FusedRows rows) {
        return form.groupSize() == 0 ? inFeatures(rows) : form.groupSize();
    }
}
