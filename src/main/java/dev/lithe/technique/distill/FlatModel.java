package dev.lithe.technique.distill;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.KernelSettings;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Norm;
import dev.lithe.model.NormScales;
import dev.lithe.model.RotaryTables;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// A model as `train.py` takes it: float32 weights in one list, adapters in another. It has copies
/// of its own, so the model that it was made from stays as it is.
final class FlatModel {
    private static final List<Slot> SLOTS = List.of(Slot.QKV, Slot.O, Slot.GATE_UP, Slot.DOWN);

    /// Where blocks begin in the list of weights, and tensors of each.
    private static final int FIRST = 3;

    private static final int NORMS = 6;

    private static final int OF_BLOCK = 14;
    private static final int OF_SLOT = 3;

    /// A linear with more zeros than this was pruned, and keeps them.
    private static final double PRUNED = 0.05;

    private final ModelSpec spec;
    private final TensorScope scope;
    private final Value weights;
    private final Value adapters;
    private final List<Value> leaves;
    private final Value leafList;
    private final Value rotary;
    private final Value numbers;

    /// What of a model is trained.
    ///
    /// @param weights whether its weights are, instead of adapters
    /// @param rank of the adapters; 0 without
    private record Trained(boolean weights, int rank, Random random) {}

    private FlatModel(
            WholeModel model, Trained trained, int context, DType type, TensorScope scope) {
        this.spec = model.spec();
        this.scope = scope;
        try (var step = TensorScope.open()) {
            List<Value> values = weights(model, step);
            List<Value> copies = copies(values, trained.weights(), scope);
            this.weights = scope.list(copies);
            List<Value> pieces = adapters(model, copies, trained, step);
            List<Value> own = copies(pieces, trained.rank() > 0, scope);
            this.adapters = scope.list(own);
            this.leaves = scope.call("train_leaves", weights, adapters).members();
            this.leafList = scope.list(leaves);
            List<Value> tables = RotaryTables.of(spec, context, step);
            this.rotary = scope.list(copies(tables, false, scope));
            this.numbers = KernelSettings.tensor(spec, -1, type, scope);
        }
    }

    /// A model to ask, which stays as it is.
    static FlatModel frozen(WholeModel model, int context, DType type, TensorScope scope) {
        return new FlatModel(model, new Trained(false, 0, new Random(0)), context, type, scope);
    }

    /// A model to train: all of its weights, or with a `rank` above 0 adapters of that rank beside
    /// the linears of its blocks.
    ///
    /// @param type of the multiplications
    /// @param scope owns it
    static FlatModel trained(
            WholeModel model, int rank, long seed, int context, DType type, TensorScope scope) {
        return new FlatModel(
                model, new Trained(rank == 0, rank, new Random(seed)), context, type, scope);
    }

    private static List<Value> weights(WholeModel model, TensorScope step) {
        Value none = step.call("empty", new long[] {0});
        List<Value> weights = new ArrayList<>();
        LoadedPart embedding = model.embedding();
        LoadedPart output = model.output();
        weights.add(weight(embedding, embedding.part().linears().getFirst(), step));
        weights.add(output.norm(Slot.LM_HEAD));
        List<LinearName> heads = output.part().linears();
        weights.add(heads.isEmpty() ? none : weight(output, heads.getFirst(), step));
        for (LoadedPart block : model.blocks()) {
            weights.addAll(NormScales.ofBlock(block.norms(), step));
            for (Slot slot : SLOTS) {
                List<LinearName> names = block.part().linears(slot);
                weights.add(rows(names.stream().map(n -> weight(block, n, step)).toList(), step));
                List<Value> biases = new ArrayList<>();
                for (Linear linear : block.linears(slot)) {
                    Value bias = linear.bias();
                    if (bias != null) {
                        biases.add(step.call("to_float", bias));
                    }
                }
                weights.add(biases.isEmpty() ? none : rows(biases, step));
            }
        }
        return weights;
    }

    private static Value weight(LoadedPart part, LinearName name, TensorScope step) {
        return DenseWeights.of(part.linear(name), step);
    }

    private static Value rows(List<Value> parts, TensorScope step) {
        return step.call("concat_rows", step.list(parts));
    }

    /// A starts uniform in ±1/√K and B at 0, so that a step begins where the model is.
    private static List<Value> adapters(
            WholeModel model, List<Value> weights, Trained trained, TensorScope step) {
        Value none = step.call("empty", new long[] {0});
        List<Value> adapters = new ArrayList<>();
        int rank = trained.rank();
        for (int block = 0; block < model.blocks().size(); block++) {
            for (int slot = 0; slot < SLOTS.size(); slot++) {
                Value weight = weights.get(weight(block, slot));
                int n = weight.size(0);
                int k = weight.size(1);
                float[] a = new float[rank * k];
                for (int i = 0; i < a.length; i++) {
                    a[i] = (float) ((2 * trained.random().nextDouble() - 1) / Math.sqrt(k));
                }
                adapters.add(rank == 0 ? none : step.tensor(a, rank, k));
                adapters.add(rank == 0 ? none : step.tensor(new float[n * rank], n, rank));
                adapters.add(step.call("train_pruned", weight, PRUNED));
            }
        }
        return adapters;
    }

    private static int weight(int block, int slot) {
        return FIRST + OF_BLOCK * block + NORMS + 2 * slot;
    }

    private static List<Value> copies(List<Value> values, boolean trained, TensorScope scope) {
        try (var step = TensorScope.open()) {
            long[] flags =
                    Collections.nCopies(values.size(), trained ? 1L : 0L).stream()
                            .mapToLong(flag -> flag)
                            .toArray();
            return scope.train(
                    "train_masters", step.list(values), step.tensor(flags, flags.length));
        }
    }

    /// Weights, adapters, rotary tables and numbers, as the kernels take them.
    List<Value> arguments() {
        return List.of(weights, adapters, rotary, numbers);
    }

    /// What is trained.
    List<Value> leaves() {
        return List.copyOf(leaves);
    }

    /// The same as one list.
    Value leafList() {
        return leafList;
    }

    /// Its shapes.
    ModelSpec spec() {
        return spec;
    }

    /// Gives `model`, of the same shapes, these weights in the types of `like`, with what the
    /// adapters learned in them.
    ///
    /// @throws LitheException where a weight is too large for its type
    void into(WholeModel model, WholeModel like) {
        List<Value> all = weights.members();
        set(model.embedding(), like.embedding(), Slot.EMBEDDING, all.getFirst());
        model.output().setNorm(Slot.LM_HEAD, all.get(1));
        if (!model.output().part().linears().isEmpty()) {
            set(model.output(), like.output(), Slot.LM_HEAD, all.get(2));
        }
        for (int i = 0; i < model.blocks().size(); i++) {
            LoadedPart to = model.blocks().get(i);
            LoadedPart from = like.blocks().get(i);
            for (Norm norm : to.part().norms().keySet()) {
                to.setNorm(norm, all.get(FIRST + OF_BLOCK * i + norm.ordinal()));
            }
            for (int slot = 0; slot < SLOTS.size(); slot++) {
                slot(to, from, slot, all.get(weight(i, slot) + 1));
            }
        }
    }

    private void slot(LoadedPart to, LoadedPart from, int slot, Value biases) {
        int block = to.part().block();
        int adapter = OF_SLOT * (SLOTS.size() * block + slot);
        int first = 0;
        try (var step = TensorScope.open()) {
            for (LinearName name : to.part().linears(SLOTS.get(slot))) {
                int rows = name.outFeatures();
                Value merged =
                        step.call(
                                "train_merged",
                                weights,
                                adapters,
                                weight(block, slot),
                                adapter,
                                first,
                                rows);
                Value bias = name.hasBias() ? step.call("rows", biases, first, first + rows) : null;
                to.set(name, stored(name, merged, bias, from.linear(name), step));
                first += rows;
            }
        }
    }

    private static void set(LoadedPart to, LoadedPart from, Slot slot, Value weight) {
        LinearName name = to.part().linears(slot).getFirst();
        try (var step = TensorScope.open()) {
            to.set(name, stored(name, weight, null, from.linear(name), step));
        }
    }

    private static Linear.Dense stored(
            LinearName name, Value weight, @Nullable Value bias, Linear like, TensorScope step) {
        Linear.Dense dense = (Linear.Dense) like; // the plan refuses others
        DType type = dense.form().dtype();
        if (step.call("count_overflow", weight, type.code()).integer() > 0) {
            throw LitheException.badInput(
                    "%s: training made weights too large for %s; lower learning_rate",
                    name.module(), type.torchName());
        }
        Value typed = step.call("train_stored", weight, type.code());
        Value typedBias = bias == null ? null : step.call("train_stored", bias, type.code());
        return new Linear.Dense(typed, typedBias, dense.form());
    }

    /// Logits (B T, V) of ids (B, T).
    Value logits(Value ids, TensorScope into) {
        return into.call("train_scores", ids, weights, adapters, rotary, numbers);
    }

    /// The scope that owns it.
    TensorScope scope() {
        return scope;
    }
}
