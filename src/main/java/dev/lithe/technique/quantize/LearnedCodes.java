package dev.lithe.technique.quantize;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.EmbeddingTable;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/// The linears of a part as `autoround.py` trains them: those that have codes to learn, and the
/// others with their weights as they are.
final class LearnedCodes {
    private static final int TENSORS = 4;

    private final Map<LinearName, Learned> learned = new LinkedHashMap<>();
    private final List<Value> tensors = new ArrayList<>();
    private final Value state;
    private final Value forms;
    private final int slots;

    /// A linear whose codes are learned.
    private record Learned(Linear.Dense dense, LinearForm.Grouped form, int index) {}

    /// The linears of `part`; they live in `scope`.
    ///
    /// @param dense weights to come close to, of those linears of the part that are to be learned
    ///   and have codes by now
    LearnedCodes(LoadedPart part, Map<LinearName, Linear.Dense> dense, TensorScope scope) {
        List<Slot> slots = List.copyOf(part.part().slots());
        List<Long> numbers = new ArrayList<>();
        for (LinearName name : part.part().linears()) {
            long slot = slots.indexOf(name.slot());
            if (dense.get(name) instanceof Linear.Dense before
                    && part.linear(name) instanceof Linear.Grouped start) {
                learned.put(name, new Learned(before, start.form(), tensors.size() / TENSORS));
                tensors.addAll(start(before, start, scope));
                numbers.addAll(
                        List.of(
                                (long) start.form().bits(),
                                (long) start.form().scaleType().code(),
                                slot));
            } else {
                tensors.addAll(
                        scope.call("round_stay", weights(name, part.linear(name), scope))
                                .members());
                numbers.addAll(List.of(0L, 0L, slot));
            }
        }
        this.slots = slots.size();
        this.state = scope.list(tensors);
        this.forms = scope.list(numbers.stream().mapToLong(Long::longValue).toArray());
    }

    private static List<Value> start(Linear.Dense dense, Linear.Grouped start, TensorScope scope) {
        Value zero = start.zero() == null ? scope.none() : start.zero();
        return scope.call(
                        "round_start",
                        dense.weight(),
                        start.packed(),
                        start.scale(),
                        zero,
                        start.form().bits())
                .members();
    }

    /// The weights (1, N, K) of a linear in any form: the rows of a table that is looked up whole.
    private static Value weights(LinearName name, Linear linear, TensorScope scope) {
        try (var step = TensorScope.open()) {
            int n = name.outFeatures();
            Value all = step.tensor(LongStream.range(0, n).toArray(), 1, n);
            return new EmbeddingTable(linear, step).lookup(all, scope);
        }
    }

    /// Whether there is anything to learn.
    boolean isEmpty() {
        return learned.isEmpty();
    }

    /// A list of the weights (N, K) of each slot as the codes stand for them by now, the linears of
    /// a slot one below the other.
    Value weights(TensorScope into) {
        return into.call("round_slots", state, forms, slots);
    }

    /// Moves the codes against a gradient.
    ///
    /// @param gradients in the weights of each slot
    /// @param rate how far codes go before rounding
    /// @param scaleRate how far scales go, as a share of themselves
    void move(List<Value> gradients, double rate, double scaleRate) {
        try (var step = TensorScope.open()) {
            Value list = step.list(gradients);
            long _ = step.call("round_step", state, forms, list, rate, scaleRate).integer();
        }
    }

    /// Gives the linears of `part` the codes as they are by now.
    void store(LoadedPart part) {
        try (var step = TensorScope.open()) {
            learned.forEach((name, linear) -> {
                List<Value> codes =
                        step.call(
                                        "round_codes",
                                        state,
                                        linear.index(),
                                        linear.form().scaleType().code())
                                .members();
                part.set(name, IntegerCodes.grouped(codes, linear.dense(), linear.form(), step));
            });
        }
    }
}
