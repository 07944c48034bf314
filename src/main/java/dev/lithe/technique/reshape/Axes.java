package dev.lithe.technique.reshape;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Cut;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// The principal axes of a model's stream, and linears in them. Moments are those of the stream as
/// each norm without scale leaves it on the calibration windows, (d, d) float32; the axes that stay
/// are the columns of Q (d, k) float64.
final class Axes {
    private static final double DAMPING = 1e-4;
    private static final List<Slot> READERS = List.of(Slot.QKV, Slot.GATE_UP);
    private static final Place OUTPUT = new Place(-1, Slot.LM_HEAD);

    private final Map<Place, Value> moments = new LinkedHashMap<>();
    private final Value axes;

    /// Where linears read the stream.
    private record Place(int block, Slot slot) {}

    /// @param kept how many stay, k
    /// @param scope owns them
    Axes(WholeModel model, int kept, TensorScope scope) {
        model.walk(part -> {
            if (part.part().kind() == Kind.BLOCK) {
                for (Slot slot : part.part().slots()) {
                    if (READERS.contains(slot)) {
                        moments.put(
                                new Place(part.part().block(), slot), moments(part, slot, scope));
                    }
                }
            } else if (part.part().kind() == Kind.OUTPUT) {
                moments.put(OUTPUT, moments(part, scope));
            }
        });
        this.axes = scope.call("principal_axes", scope.list(List.copyOf(moments.values())), kept);
    }

    private static Value moments(LoadedPart part, Slot slot, TensorScope scope) {
        try (var step = TensorScope.open()) {
            Value seen = part.statistics(slot, step).hessian();
            return scope.call("unscaled_moments", seen, part.norm(slot));
        }
    }

    private static Value moments(LoadedPart output, TensorScope scope) {
        int width = output.spec().hiddenSize();
        Value sum = scope.call("zeros", width, width);
        for (Value x : output.inputs()) {
            try (var step = TensorScope.open()) {
                Value normed =
                        step.call("norm", x, step.call("ones", width), output.spec().normEpsilon());
                step.call("add_outer", sum, normed, 2.0 / output.tokens());
            }
        }
        try (var step = TensorScope.open()) {
            step.call("mirror", sum);
        }
        return sum;
    }

    /// Rows (n, d) of a table, times `factor`.
    Linear.Dense rows(Linear linear, double factor, TensorScope scope) {
        Linear.Dense dense = Cut.dense(linear);
        return with(dense, scope.call("turned_rows", dense.weight(), axes, factor), dense.bias());
    }

    /// A linear of `slot` of `block`, which reads the stream behind a norm with the scale `norm`,
    /// for a norm without.
    Linear.Dense reader(Linear linear, int block, Slot slot, Value norm, TensorScope scope) {
        Linear.Dense dense = Cut.dense(linear);
        Place place = slot == Slot.LM_HEAD ? OUTPUT : new Place(block, slot);
        Value seen = Objects.requireNonNull(moments.get(place));
        Value reading = scope.call("reading_axes", seen, axes, DAMPING);
        double factor = Math.sqrt((double) axes.size(0) / axes.size(1));
        Value weight = scope.call("turned_inputs", dense.weight(), norm, reading, factor);
        return with(dense, weight, dense.bias());
    }

    /// A linear that adds to the stream.
    Linear.Dense writer(Linear linear, TensorScope scope) {
        Linear.Dense dense = Cut.dense(linear);
        Value bias =
                dense.bias() == null ? null : scope.call("turned_rows", dense.bias(), axes, 1.0);
        return with(dense, scope.call("turned_outputs", dense.weight(), axes), bias);
    }

    private static Linear.Dense with(Linear.Dense before, Value weight, @Nullable Value bias) {
        return new Linear.Dense(weight, bias, before.form());
    }
}
