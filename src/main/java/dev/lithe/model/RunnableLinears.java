package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The linears of a model as `linear.py` runs them. Linears of a slot that have the same form are
/// fused by rows, since they read the same input; [LinearKernels] chooses what computes them.
final class RunnableLinears {
    private static final int LOW_RANK = 8;

    private final TensorScope scope;
    private final PartList parts;
    private final LinearKernels kernels;

    /// None yet, on the processor.
    RunnableLinears(TensorScope scope) {
        this(new PartList(Device.CPU, scope), scope);
    }

    /// None yet, on `device`.
    RunnableLinears(Device device, TensorScope scope) {
        this(new PartList(device, scope), scope);
    }

    private RunnableLinears(PartList parts, TensorScope scope) {
        this(parts, LinearKernels.of(parts), scope);
    }

    /// None yet, with a choice of kernels.
    RunnableLinears(PartList parts, LinearKernels kernels, TensorScope scope) {
        this.scope = scope;
        this.parts = parts;
        this.kernels = kernels;
    }

    /// Adds the linears of one slot.
    void addSlot(List<Linear> linears) {
        for (List<Linear> alike : runsOfSameForm(linears)) {
            add(alike);
        }
        parts.closeSlot();
    }

    private static List<List<Linear>> runsOfSameForm(List<Linear> linears) {
        List<List<Linear>> runs = new ArrayList<>();
        for (Linear linear : linears) {
            if (!runs.isEmpty()
                    && runs.getLast().getFirst().form().equals(linear.form())
                    && (runs.getLast().getFirst().bias() == null) == (linear.bias() == null)) {
                runs.getLast().add(linear);
            } else {
                runs.add(new ArrayList<>(List.of(linear)));
            }
        }
        return runs;
    }

    private void add(List<Linear> alike) {
        try (var step = TensorScope.open()) {
            var rows = new FusedRows(alike, step);
            switch (rows.first().form()) {
                case LinearForm.LowRank _ ->
                        alike.forEach(each -> addFactors((Linear.LowRank) each, step));
                case LinearForm.Shared _ ->
                        alike.forEach(each -> addShared((Linear.Shared) each, step));
                case LinearForm.Dense _ -> kernels.addDense(rows);
                case LinearForm.Int8 form -> kernels.addInt8(form, rows);
                case LinearForm.Float8 form -> kernels.addFloat8(form, rows);
                case LinearForm.Masked _ -> kernels.addExpanded("bitmask", rows);
                case LinearForm.Codebook form -> kernels.addExpanded(form.label(), rows);
                case LinearForm.Grouped form -> kernels.addGrouped(form, rows);
            }
        }
    }

    /// The factors, and the linear beside them, are parts behind the one that says so.
    private void addFactors(Linear.LowRank linear, TensorScope step) {
        parts.add(LOW_RANK, linear.base() == null ? 0 : 1, 0, List.of(), null);
        add(List.of(linear.right()));
        int left = parts.size();
        add(List.of(linear.left()));
        if (linear.bias() != null) {
            parts.bias(left, step.call("to_float", linear.bias()));
        }
        if (linear.base() != null) {
            add(List.of(linear.base()));
        }
    }

    private void addShared(Linear.Shared linear, TensorScope step) {
        int first = parts.size();
        add(List.of(linear.of()));
        if (linear.bias() != null) {
            // of several parts the second is the left factor
            boolean one = parts.size() - first == PartList.PART;
            parts.bias(
                    one ? first : first + 2 * PartList.PART, step.call("to_float", linear.bias()));
        }
    }

    Map<String, Integer> kernels() {
        return parts.kernels();
    }

    /// As the kernels take them: floats, packed ones, what each part is, where each slot begins.
    List<Value> arguments() {
        return List.of(parts.weights(), parts.packed(), parts.parts(), parts.slots());
    }

    long bytes() {
        return parts.bytes();
    }
}
