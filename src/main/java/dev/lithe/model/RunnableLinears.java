package dev.lithe.model;

import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The linears of a model as `linear.py` runs them: one flat list of tensors, four integers per
/// part, and the first part of each slot. Linears of a slot that have the same form are fused by
/// rows, since they read the same input.
final class RunnableLinears {
    /// Group sizes and the row multiple that libtorch's 4-bit kernel takes.
    private static final List<Integer> INT4_GROUPS = List.of(32, 64, 128, 256);

    private static final int INT4_ROWS = 16;

    private static final int FLOAT32 = 0;
    private static final int FLOAT16 = 1;
    private static final int INT8_DYNAMIC = 2;
    private static final int INT8_DYNAMIC_MATMUL = 3;
    private static final int INT4_GROUPED = 4;
    private static final int SCALED = 5;
    private static final int SCALED_FLOAT8_INPUT = 6;
    private static final int FLOAT32_FLOAT8_INPUT = 7;
    private static final int LOW_RANK = 8;
    private static final int NO_BIAS = -1;

    /// Integers of a part, and which of them is the bias.
    private static final int PART = 4;

    private static final int BIAS = 3;

    private final TensorScope scope;
    private final List<Value> tensors = new ArrayList<>();
    private final Value packed;
    private long packedBytes;
    private final List<Long> parts = new ArrayList<>();
    private final List<Long> slots = new ArrayList<>(List.of(0L));
    private final Map<String, Integer> kernels = new TreeMap<>();
    private @Nullable Value tensorList;
    private @Nullable Value partList;
    private @Nullable Value slotList;

    RunnableLinears(TensorScope scope) {
        this.scope = scope;
        this.packed = scope.call("new_packed");
    }

    /// Adds the linears of one slot.
    void addSlot(List<Linear> linears) {
        for (List<Linear> alike : runsOfSameForm(linears)) {
            add(alike);
        }
        closeSlot();
    }

    private void closeSlot() {
        slots.add((long) parts.size() / PART);
        tensorList = null;
        partList = null;
        slotList = null;
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
        switch (alike.getFirst().form()) {
            case LinearForm.LowRank _ -> alike.forEach(each -> addFactors((Linear.LowRank) each));
            case LinearForm.Shared _ -> alike.forEach(each -> addShared((Linear.Shared) each));
            case LinearForm.Dense _ -> addDense(alike);
            case LinearForm.Int8 form -> {
                if (form.dynamicActivations()) {
                    addInt8(alike);
                } else {
                    addScaled(alike, false, form.label());
                }
            }
            case LinearForm.Float8 form ->
                    addScaled(alike, form.dynamicActivations(), form.label());
            case LinearForm.Masked _ -> addExpanded("bitmask", alike);
            case LinearForm.Codebook form -> addExpanded(form.label(), alike);
            case LinearForm.Grouped form -> addGrouped(form, alike);
        }
    }

    /// The factors, and the linear beside them, are parts behind the one that says so.
    private void addFactors(Linear.LowRank linear) {
        addPart(LOW_RANK, linear.base() == null ? 0 : 1, 0, List.of(), null);
        add(List.of(linear.right()));
        try (var step = TensorScope.open()) {
            long left = parts.size();
            add(List.of(linear.left()));
            Value bias = bias(List.of(linear), step);
            if (bias != null) {
                parts.set(Math.toIntExact(left + BIAS), (long) tensors.size());
                tensors.add(scope.keep(bias));
            }
        }
        if (linear.base() != null) {
            add(List.of(linear.base()));
        }
    }

    private void addShared(Linear.Shared linear) {
        int first = parts.size();
        add(List.of(linear.of()));
        if (linear.bias() != null) {
            // of several parts the second is the left factor
            int at = parts.size() - first == PART ? first : first + 2 * PART;
            parts.set(at + BIAS, (long) tensors.size());
            tensors.add(scope.call("to_float", linear.bias()));
        }
    }

    private void addDense(List<Linear> alike) {
        try (var step = TensorScope.open()) {
            List<Value> weights =
                    alike.stream().map(linear -> ((Linear.Dense) linear).weight()).toList();
            boolean half = alike.getFirst().floatType() != DType.F32;
            addFloats(concat(weights, step), half, "", bias(alike, step));
        }
    }

    /// Float weights, packed as float16 where `half` and none is too large for it. What was stored
    /// as float16 stays exact; other weights are rounded to its 11 bits.
    private void addFloats(Value weight, boolean half, String origin, @Nullable Value bias) {
        try (var step = TensorScope.open()) {
            boolean fits =
                    half
                            && FastKernels.FLOAT16
                            && step.call("count_overflow", weight, DType.F16.code()).integer() == 0;
            if (fits) {
                long index = step.call("pack_float16", weight, packed).integer();
                addPart(FLOAT16, index, 0, List.of(), bias);
                packedBytes += weight.elements() * DType.F16.bytes();
                count("float16" + origin);
            } else {
                addPart(FLOAT32, tensors.size(), 0, List.of(step.call("to_float", weight)), bias);
                count("float32" + origin);
            }
        }
    }

    private void addInt8(List<Linear> alike) {
        try (var step = TensorScope.open()) {
            List<Value> weights = new ArrayList<>();
            List<Value> scales = new ArrayList<>();
            for (Linear linear : alike) {
                weights.add(((Linear.Int8) linear).weight());
                scales.add(((Linear.Int8) linear).scale());
            }
            Value weight = concat(weights, step);
            Value scale = concat(scales, step);
            Value bias = bias(alike, step);
            if (FastKernels.INT8) {
                long index = step.call("pack_int8", weight, scale, packed).integer();
                addPart(INT8_DYNAMIC, index, 0, List.of(), bias);
                packedBytes += weight.elements() + scale.elements() * DType.F32.bytes();
            } else {
                List<Value> prepared = step.call("prepare_int8", weight, scale).members();
                addPart(INT8_DYNAMIC_MATMUL, tensors.size(), 0, prepared, bias);
            }
        }
        count("int8, dynamic activations");
    }

    /// Weights of at most 11 significant bits with a scale per row, which is applied to the output:
    /// so packed float16 holds them exactly. `rounded` inputs are first rounded to float8.
    private void addScaled(List<Linear> alike, boolean rounded, String label) {
        try (var step = TensorScope.open()) {
            List<Value> weights = new ArrayList<>();
            List<Value> scales = new ArrayList<>();
            for (Linear linear : alike) {
                Value weight =
                        linear instanceof Linear.Int8 int8
                                ? int8.weight()
                                : ((Linear.Float8) linear).weight();
                Value scale =
                        linear instanceof Linear.Int8 int8
                                ? int8.scale()
                                : ((Linear.Float8) linear).scale();
                weights.add(step.call("to_float", weight));
                scales.add(step.call("scale_of_rows", scale, weight.size(0)));
            }
            Value weight = concat(weights, step);
            Value scale = concat(scales, step);
            Value bias = bias(alike, step);
            if (FastKernels.FLOAT16) {
                int kind = rounded ? SCALED_FLOAT8_INPUT : SCALED;
                long index = step.call("pack_float16", weight, packed).integer();
                addPart(kind, index, tensors.size(), List.of(scale), bias);
                packedBytes += weight.elements() * DType.F16.bytes();
            } else {
                int kind = rounded ? FLOAT32_FLOAT8_INPUT : FLOAT32;
                Value scaled = step.call("scale_rows", weight, scale);
                addPart(kind, tensors.size(), 0, List.of(scaled), bias);
            }
            count(label);
        }
    }

    private void addExpanded(String label, List<Linear> alike) {
        try (var step = TensorScope.open()) {
            List<Value> rows = alike.stream().map(linear -> DenseWeights.of(linear, step)).toList();
            addFloats(concat(rows, step), true, ", expanded from " + label, bias(alike, step));
        }
    }

    private void addGrouped(LinearForm.Grouped form, List<Linear> alike) {
        try (var step = TensorScope.open()) {
            int k = inFeatures((Linear.Grouped) alike.getFirst());
            Value codes =
                    concat(
                            alike.stream()
                                    .map(linear -> ((Linear.Grouped) linear).packed())
                                    .toList(),
                            step);
            Value scale =
                    concat(
                            alike.stream()
                                    .map(linear -> ((Linear.Grouped) linear).scale())
                                    .toList(),
                            step);
            Value zero =
                    form.symmetric()
                            ? step.none()
                            : concat(
                                    alike.stream()
                                            .map(linear ->
                                                    DenseWeights.zero(
                                                            (Linear.Grouped) linear, step))
                                            .toList(),
                                    step);
            Value bias = bias(alike, step);
            int groupSize = form.groupSize() == 0 ? k : form.groupSize();
            if (form.bits() == 4
                    && INT4_GROUPS.contains(groupSize)
                    && codes.size(0) % INT4_ROWS == 0) {
                DType many = FastKernels.BFLOAT16 ? DType.BF16 : DType.F32;
                Value prepared = step.call("prepare_int4", codes, scale, zero, k, many.code());
                addPart(INT4_GROUPED, tensors.size(), groupSize, prepared.members(), bias);
                count("int4 grouped");
            } else {
                Value weight = step.call("expand_grouped", codes, scale, zero, form.bits(), k);
                addFloats(weight, true, ", expanded from " + form.label(), bias);
            }
        }
    }

    private static int inFeatures(Linear.Grouped linear) {
        return Math.toIntExact(linear.shape().longs()[1]);
    }

    private static @Nullable Value bias(List<Linear> alike, TensorScope step) {
        if (alike.getFirst().bias() == null) {
            return null;
        }
        List<Value> biases = new ArrayList<>();
        for (Linear linear : alike) {
            if (linear.bias() != null) {
                biases.add(step.call("to_float", linear.bias()));
            }
        }
        return concat(biases, step);
    }

    private static Value concat(List<Value> rows, TensorScope step) {
        return rows.size() == 1 ? rows.getFirst() : step.call("concat_rows", step.list(rows));
    }

    private void addPart(
            int kind, long index, int third, List<Value> weights, @Nullable Value bias) {
        weights.forEach(weight -> tensors.add(scope.keep(weight)));
        parts.addAll(List.of((long) kind, index, (long) third));
        parts.add(bias == null ? NO_BIAS : (long) tensors.size());
        if (bias != null) {
            tensors.add(scope.keep(bias));
        }
    }

    private void count(String kernel) {
        kernels.merge(kernel, 1, Integer::sum);
    }

    Map<String, Integer> kernels() {
        return Map.copyOf(kernels);
    }

    Value weights() {
        if (tensorList == null) {
            tensorList = scope.list(tensors);
        }
        return tensorList;
    }

    Value packed() {
        return packed;
    }

    Value parts() {
        if (partList == null) {
            partList = scope.list(parts.stream().mapToLong(Long::longValue).toArray());
        }
        return partList;
    }

    Value slots() {
        if (slotList == null) {
            slotList = scope.list(slots.stream().mapToLong(Long::longValue).toArray());
        }
        return slotList;
    }

    long bytes() {
        return weights().bytes() + packedBytes;
    }
}
