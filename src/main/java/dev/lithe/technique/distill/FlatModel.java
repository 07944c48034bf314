package dev.lithe.technique.distill;

import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.KernelSettings;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.RotaryTables;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

/// A model as `student.py` takes it: its tensors in one list, each once however many places it has,
/// and a table of those places. What is trained is float32. It has copies of its own, so the model
/// that it was made from stays as it is.
final class FlatModel {
    /// Numbers of a row of the table of places.
    private static final int ROW = 7;

    private final ModelSpec spec;
    private final TensorScope scope;
    private final Value weights;
    private final List<Value> members;
    private final Map<LinearName, Place> places;
    private final List<Integer> trained;
    private final Value table;
    private final Value leaves;
    private final Value rotary;
    private final Value numbers;

    /// Where in the list of tensors the parts of a linear are; -1 where it has none.
    ///
    /// @param weight W (N, K)
    /// @param kept 1 where a weight is there and 0 where it was pruned (N, K)
    /// @param right (r, K) and left (N, r), two thin factors
    /// @param bias (N)
    /// @param adapter whether the factors are an adapter, and not the model's own
    record Place(int weight, int kept, int right, int left, int bias, boolean adapter) {
        private boolean has(int index) {
            return List.of(weight, right, left, bias).contains(index);
        }
    }

    private FlatModel(
            WholeModel model, Flattening made, int context, DType type, TensorScope scope) {
        this.spec = model.spec();
        this.scope = scope;
        this.places = made.places();
        this.trained = made.trained();
        try (var step = TensorScope.open()) {
            this.members = copies(made.tensors(), trained, step, scope);
            this.weights = scope.list(members);
            this.table = table(made.projection(), scope);
            this.leaves = scope.list(trained.stream().map(members::get).toList());
            List<Value> tables = RotaryTables.of(spec, context, step);
            this.rotary = scope.list(copies(tables, List.of(), step, scope));
            this.numbers = KernelSettings.tensor(spec, -1, type, scope);
        }
    }

    private static List<Value> copies(
            List<Value> values, List<Integer> trained, TensorScope step, TensorScope scope) {
        long[] flags = new long[values.size()];
        trained.forEach(index -> flags[index] = 1);
        return scope.train("train_masters", step.list(values), step.tensor(flags, flags.length));
    }

    private Value table(int projection, TensorScope into) {
        List<Long> rows = new ArrayList<>();
        int head = members.get(2).elements() > 0 ? 2 : 0;
        rows.addAll(List.of((long) trained.indexOf(head), (long) projection, (long) spec.layers()));
        rows.addAll(List.of(0L, 0L, 0L, 0L));
        places.forEach((name, place) -> {
            boolean merged = place.adapter() && place.kept() >= 0;
            rows.add(4L * name.block() + name.slot().ordinal());
            for (int index :
                    List.of(
                            place.weight(),
                            place.kept(),
                            place.right(),
                            place.left(),
                            place.bias())) {
                rows.add((long) index);
            }
            rows.add(merged ? 1L : 0L);
        });
        long[] all = rows.stream().mapToLong(Long::longValue).toArray();
        return into.tensor(all, all.length / ROW, ROW);
    }

    /// A model to ask, which stays as it is. Its linears are kept in the type of the
    /// multiplications.
    static FlatModel frozen(WholeModel model, int context, DType type, TensorScope scope) {
        try (var step = TensorScope.open()) {
            var made = new Flattening(model, Flattening.Learns.NOTHING, 0, new Random(0), step);
            return new FlatModel(model, made.rounded(type), context, type, scope);
        }
    }

    /// A model to train: all of its weights, or with a `rank` above 0 adapters of that rank beside
    /// the linears of its blocks, and the factors of those that are two thin ones already.
    ///
    /// @param projected the width of a teacher whose streams this model's are to be projected to; 0
    ///   for none
    /// @param type of the multiplications
    /// @param scope owns it
    static FlatModel trained(
            WholeModel model,
            int rank,
            long seed,
            int projected,
            int context,
            DType type,
            TensorScope scope) {
        var learns = rank == 0 ? Flattening.Learns.ALL : Flattening.Learns.ADAPTERS;
        try (var step = TensorScope.open()) {
            var made = new Flattening(model, learns, rank, new Random(seed), step);
            return new FlatModel(model, made.projected(projected), context, type, scope);
        }
    }

    /// Weights, places, rotary tables and numbers, as the kernels take them.
    List<Value> arguments() {
        return List.of(weights, table, rotary, numbers);
    }

    /// The tensor at `index`, or where it is trained what has become of it.
    Value tensor(int index) {
        return members.get(index);
    }

    /// Whether the tensor at `index` is trained.
    boolean isTrained(int index) {
        return trained.contains(index);
    }

    /// Where the parts of `linear`, of a block, are.
    Place place(LinearName linear) {
        Place place = places.get(linear);
        if (place == null) {
            throw LitheException.of(Fault.INTERNAL, "'%s' was not flattened", linear.module());
        }
        return place;
    }

    /// What is trained, as one list.
    Value leaves() {
        return leaves;
    }

    /// What of block `block` is trained, as one list.
    Value leaves(int block, TensorScope into) {
        List<Value> own = new ArrayList<>();
        for (int index : trained) {
            boolean norm =
                    index >= Flattening.norm(block, 0) && index < Flattening.norm(block + 1, 0);
            boolean linear =
                    index >= Flattening.norm(spec.layers(), 0)
                            && places.entrySet().stream()
                                    .anyMatch(each ->
                                            each.getKey().block() == block
                                                    && each.getValue().has(index));
            if (norm || linear) {
                own.add(members.get(index));
            }
        }
        return into.list(own);
    }

    /// Its shapes.
    ModelSpec spec() {
        return spec;
    }

    /// Logits (B T, V) of ids (B, T).
    Value logits(Value ids, TensorScope into) {
        return into.call("train_scores", ids, weights, table, rotary, numbers);
    }

    /// The scope that owns it.
    TensorScope scope() {
        return scope;
    }
}
