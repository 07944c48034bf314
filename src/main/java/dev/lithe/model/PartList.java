package dev.lithe.model;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// What the kernels of `linear.py` take: one flat list of tensors, those that libtorch packs in
/// another, four integers per part, and the first part of each slot. The tensors lie on the model's
/// device.
final class PartList {
    /// Integers of a part, and which of them is the bias.
    static final int PART = 4;

    static final int BIAS = 3;
    private static final int NO_BIAS = -1;

    private final Device device;
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

    PartList(Device device, TensorScope scope) {
        this.device = device;
        this.scope = scope;
        this.packed = scope.call("new_packed");
    }

    Device device() {
        return device;
    }

    /// Integers of all parts so far.
    int size() {
        return parts.size();
    }

    /// Tensors so far: the index of the next.
    int nextTensor() {
        return tensors.size();
    }

    /// Adds a part of `kind` with tensors of its own.
    ///
    /// @param index of its first tensor, or among the packed ones
    /// @param third what the kind makes of the third integer
    void add(int kind, long index, long third, List<Value> weights, @Nullable Value bias) {
        weights.forEach(this::addTensor);
        parts.addAll(List.of((long) kind, index, third));
        parts.add(bias == null ? NO_BIAS : (long) tensors.size());
        if (bias != null) {
            addTensor(bias);
        }
    }

    /// Gives the part that begins at `part` a bias.
    void bias(int part, Value bias) {
        parts.set(part + BIAS, (long) tensors.size());
        addTensor(bias);
    }

    private void addTensor(Value tensor) {
        tensors.add(device.isCpu() ? scope.keep(tensor) : device.place(tensor, scope));
    }

    /// Where kernels that pack put what they made.
    Value packed() {
        return packed;
    }

    /// Counts bytes that [#packed] took.
    void packedBytes(long bytes) {
        packedBytes += bytes;
    }

    /// Counts a linear that runs so.
    void count(String kernel) {
        kernels.merge(kernel, 1, Integer::sum);
    }

    void closeSlot() {
        slots.add((long) parts.size() / PART);
        tensorList = null;
        partList = null;
        slotList = null;
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

    Value parts() {
        if (partList == null) {
            partList = list(parts);
        }
        return partList;
    }

    Value slots() {
        if (slotList == null) {
            slotList = list(slots);
        }
        return slotList;
    }

    private Value list(List<Long> integers) {
        return scope.list(integers.stream().mapToLong(Long::longValue).toArray());
    }

    long bytes() {
        return weights().bytes() + packedBytes;
    }
}
