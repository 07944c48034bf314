package dev.lithe.model;

import dev.lithe.tensor.Device;
import java.util.List;

/// Chooses for linears the kernel of `linear.py` that runs them, and lays out their weights for it.
sealed interface LinearKernels permits CpuLinears, CudaLinears {
    /// Group sizes and the row multiple that libtorch's 4-bit kernels take.
    List<Integer> INT4_GROUPS = List.of(32, 64, 128, 256);

    int INT4_ROWS = 16;

    /// Those of the device that `parts` is for.
    static LinearKernels of(PartList parts) {
        Device device = parts.device();
        return device.isCpu()
                ? new CpuLinears(parts)
                : new CudaLinears(parts, CudaLinears.Products.of(device));
    }

    void addDense(FusedRows rows);

    void addInt8(LinearForm.Int8 form, FusedRows rows);

    void addFloat8(LinearForm.Float8 form, FusedRows rows);

    void addGrouped(LinearForm.Grouped form, FusedRows rows);

    /// Those of another form, whose name is `label`, as floats.
    void addExpanded(String label, FusedRows rows);

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
