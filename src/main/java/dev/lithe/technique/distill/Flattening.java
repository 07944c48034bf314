package dev.lithe.technique.distill;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Norm;
import dev.lithe.model.NormScales;
import dev.lithe.technique.distill.FlatModel.Place;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// Takes a model apart into the list of tensors that [FlatModel] is: embedding, last norm, output
/// layer, the norms of the blocks, then what their linears are made of.
///
/// A linear that is two thin ones stays so, a weight that several places share is there once, and
/// all other forms are expanded. Those that are quantized cannot learn; an adapter beside them can.
final class Flattening {
    /// What is trained.
    enum Learns {
        NOTHING,
        /// Thin factors: the model's own, or where a linear has none an adapter's.
        ADAPTERS,
        ALL
    }

    private static final int FIRST_NORM = 3;
    private static final int NORMS = Norm.FINAL.ordinal();

    /// A linear with more zeros than this was pruned, and keeps them.
    private static final double PRUNED = 0.05;

    private final WholeModel model;
    private final Learns learns;
    private final int rank;
    private final Random random;
    private final TensorScope step;
    private final List<Value> tensors = new ArrayList<>();
    private final List<Integer> trained = new ArrayList<>();
    private final Map<String, Integer> stored = new HashMap<>();
    private final Map<Integer, Integer> masks = new HashMap<>();
    private final Map<LinearName, Place> places = new LinkedHashMap<>();
    private int projection = -1;

    /// @param rank of adapters
    /// @param step owns the tensors
    Flattening(WholeModel model, Learns learns, int rank, Random random, TensorScope step) {
        this.model = model;
        this.learns = learns;
        this.rank = rank;
        this.random = random;
        this.step = step;
        boolean all = learns == Learns.ALL;
        LoadedPart output = model.output();
        int _ = add(table(model.embedding(), Slot.EMBEDDING), all);
        int _ = add(output.norm(Norm.FINAL), all);
        int _ = add(table(output, Slot.LM_HEAD), all);
        for (LoadedPart block : model.blocks()) {
            NormScales.ofBlock(block.norms(), step).forEach(norm -> add(norm, all));
        }
        for (LoadedPart block : model.blocks()) {
            for (Slot slot : block.part().slots()) {
                block.part().linears(slot).forEach(name -> places.put(name, place(block, name)));
            }
        }
    }

    private Value table(LoadedPart part, Slot slot) {
        List<LinearName> names = part.part().linears(slot);
        return names.isEmpty()
                ? step.call("empty", new long[] {0})
                : DenseWeights.of(part.linear(names.getFirst()), step);
    }

    /// The index of a block's norm.
    static int norm(int block, int norm) {
        return FIRST_NORM + NORMS * block + norm;
    }

    private int add(Value tensor, boolean learning) {
        tensors.add(tensor);
        if (learning && tensor.elements() > 0) {
            trained.add(tensors.size() - 1);
        }
        return tensors.size() - 1;
    }

    private Place place(LoadedPart block, LinearName name) {
        Linear linear = block.linear(name);
        Learns what = name.routes() ? Learns.NOTHING : learns;
        @Nullable Value bias = linear.bias();
        int biases = bias == null ? -1 : add(step.call("to_float", bias), what == Learns.ALL);
        return place(linear, name.module(), biases, what);
    }

    private Place place(Linear linear, String module, int bias, Learns what) {
        if (linear instanceof Linear.Shared shared) {
            return place(shared.of(), shared.form().owner(), bias, what);
        }
        if (linear instanceof Linear.LowRank thin) {
            Linear base = thin.base();
            int whole = base == null ? -1 : weight(base, module + ".base", what == Learns.ALL);
            int right = weight(thin.right(), module + ".right", what != Learns.NOTHING);
            int left = weight(thin.left(), module + ".left", what != Learns.NOTHING);
            int kept = base == null || what != Learns.ALL ? -1 : kept(base, whole);
            return new Place(whole, kept, right, left, bias, false);
        }
        int whole = weight(linear, module, what == Learns.ALL);
        int kept = what == Learns.NOTHING ? -1 : kept(linear, whole);
        if (what != Learns.ADAPTERS) {
            return new Place(whole, kept, -1, -1, bias, false);
        }
        int n = tensors.get(whole).size(0);
        int k = tensors.get(whole).size(1);
        int right = add(uniform(rank, k), true);
        int left = add(step.tensor(new float[n * rank], n, rank), true);
        return new Place(whole, kept, right, left, bias, true);
    }

    private int weight(Linear linear, String module, boolean learning) {
        String owner = linear instanceof Linear.Shared shared ? shared.form().owner() : module;
        return stored.computeIfAbsent(owner, _ -> add(DenseWeights.of(linear, step), learning));
    }

    /// Where the mask of a pruned weight that learns is.
    private int kept(Linear linear, int weight) {
        boolean masked = linear instanceof Linear.Masked;
        if (!masked && linear.form().scheme() != null && !(linear instanceof Linear.Shared)) {
            return -1; // zeros among codes are numbers like others
        }
        return masks.computeIfAbsent(
                weight,
                _ -> {
                    Value kept =
                            step.call("train_kept", tensors.get(weight), masked ? 0.0 : PRUNED);
                    return kept.elements() == 0 ? -1 : add(kept, false);
                });
    }

    /// Numbers of a (rows, k), uniform in ±1/√k.
    private Value uniform(int rows, int k) {
        float[] numbers = new float[rows * k];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) ((2 * random.nextDouble() - 1) / Math.sqrt(k));
        }
        return step.tensor(numbers, rows, k);
    }

    /// The same with a projection to the width of a teacher behind each block, where that is
    /// another one.
    ///
    /// @param width 0 for no teacher
    Flattening projected(int width) {
        int own = model.spec().hiddenSize();
        if (width != 0 && width != own) {
            projection = tensors.size();
            model.blocks().forEach(_ -> add(uniform(width, own), true));
        }
        return this;
    }

    /// The same with linears, and an output layer of its own, in the type of multiplications.
    Flattening rounded(DType type) {
        for (int i = 0; i < tensors.size(); i++) {
            if ((i == 2 || i >= norm(model.spec().layers(), 0)) && !trained.contains(i)) {
                tensors.set(i, step.call("cast", tensors.get(i), type.code()));
            }
        }
        return this;
    }

    List<Value> tensors() {
        return List.copyOf(tensors);
    }

    /// Which of them are trained, rising.
    List<Integer> trained() {
        return List.copyOf(trained);
    }

    /// Of the linears of the blocks, slot by slot.
    Map<LinearName, Place> places() {
        return new LinkedHashMap<>(places);
    }

    /// The index of the first projection; -1 where there is none.
    int projection() {
        return projection;
    }
}
