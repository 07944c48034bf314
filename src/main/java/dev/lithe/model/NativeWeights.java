package dev.lithe.model;

import dev.lithe.model.NativeLinears.Place;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeModel;
import dev.lithe.tensor.NativeModelBuilder;
import dev.lithe.tensor.NativeModelBuilder.Layout;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Builds a decoder for the kernels of `src/main/c`, slot by slot.
final class NativeWeights {
    /// Outputs that the kernels compute together.
    static final int OUTPUTS = 16;

    private static final int SLOTS_OF_BLOCK = 4;

    private final ModelSpec spec;
    private final TensorScope scope;
    private final NativeModelBuilder model;
    private final NativeModel runs;
    private final NativeLinears linears;
    private final Map<String, Integer> counts = new TreeMap<>();
    private int slot;

    /// None yet, of a model of this shape. They live in `scope`, as the tensors that they are read
    /// from must.
    NativeWeights(ModelSpec spec, Instructions instructions, TensorScope scope) {
        this.spec = spec;
        this.scope = scope;
        BlockStyle style = spec.style();
        this.model =
                new NativeModelBuilder(
                        new NativeModelBuilder.Shape(
                                spec.hiddenSize(),
                                spec.intermediateSize(),
                                spec.layers(),
                                spec.heads(),
                                spec.kvHeads(),
                                spec.headDim(),
                                spec.vocabSize(),
                                spec.rotaryWidth() / 2,
                                spec.sparseAttention().sinks(),
                                spec.sparseAttention().window(),
                                style.activation().ordinal(),
                                (float) spec.normEpsilon(),
                                (float) style.embeddingScale(),
                                (float) style.attentionScale(),
                                (float) style.attentionCap(),
                                (float) style.logitCap()));
        this.runs = model.model(instructions);
        scope.onClose(runs);
        this.linears = new NativeLinears(model, scope);
        model.experts(spec.experts().count(), spec.experts().active());
        PageAttention chosen = spec.pageAttention();
        model.pages(chosen.page(), chosen.pages(), chosen.dense());
        for (int layer = 0; layer < spec.layers(); layer++) {
            model.window(layer, spec.windows().get(layer));
        }
    }

    /// What runs them.
    NativeModel model() {
        return runs;
    }

    /// Sets the scales of the norms, (d) float32, in the order in which data passes them.
    void norms(Value norms) {
        List<Value> scales = norms.members();
        for (int i = 0; i < scales.size(); i++) {
            if (scales.get(i).elements() > 0) {
                model.norm(i, scales.get(i));
            }
        }
    }

    /// Sets the table that ids are looked up in.
    void embedding(EmbeddingTable embedding) {
        List<Value> tables = embedding.tables().members();
        if (tables.size() > 1) {
            model.embedding(tables.get(0), tables.get(1), tables.get(2));
        } else if (tables.getFirst().dtype() == DType.F64) {
            model.embedding(scope.call("to_float", tables.getFirst()), null, null);
        } else {
            model.embedding(tables.getFirst(), null, null);
        }
    }

    /// Adds the linears of the next slot.
    void addSlot(List<Linear> added) {
        boolean output = slot == SLOTS_OF_BLOCK * spec.layers();
        double least = output ? 0 : threshold();
        model.threshold(slot, least, spec.thresholds().densePositions());
        Layout layout = least > 0 ? Layout.ONE_PANEL : Layout.AS_STORED;
        var whole = new Place(slot, layout, false, output);
        var first = new Place(model.factorSlot(slot), layout, true, output);
        var second = new Place(slot, Layout.NARROW_PANELS, false, output); // its rows are short
        long column = 0;
        long factors = 0;
        List<Runnable> beside = new ArrayList<>();
        for (Linear linear : added) {
            try (var step = TensorScope.open()) {
                Linear stored = linear instanceof Linear.Shared shared ? shared.of() : linear;
                Value bias = bias(linear, step);
                if (stored instanceof Linear.LowRank two) {
                    linears.add(first, two.right(), null, step);
                    if (two.base() == null) {
                        linears.add(second, two.left(), bias, step);
                        model.readsFactor(slot, factors, NativeModelBuilder.OWN_COLUMNS);
                    } else {
                        linears.add(whole, two.base(), bias, step);
                        long from = factors;
                        long onto = column;
                        // behind all that writes what they add to
                        beside.add(() -> addBeside(second, two.left(), from, onto));
                    }
                    factors += (two.form().rank() + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
                } else {
                    linears.add(whole, stored, bias, step);
                }
                column += stored.outFeatures();
            }
            counts.merge(linear.form().label(), 1, Integer::sum);
        }
        beside.forEach(Runnable::run);
        slot++;
    }

    private double threshold() {
        int inBlock = slot % SLOTS_OF_BLOCK;
        double least = spec.thresholds().of(slot / SLOTS_OF_BLOCK).get(inBlock);
        return spec.experts().any() && inBlock == SLOTS_OF_BLOCK - 1
                ? Math.max(least, Float.MIN_NORMAL) // what experts that do not run leave is 0
                : least;
    }

    private void addBeside(Place place, Linear left, long from, long onto) {
        try (var step = TensorScope.open()) {
            linears.add(place, left, null, step);
            model.readsFactor(place.slot(), from, onto);
        }
    }

    private static @Nullable Value bias(Linear linear, TensorScope step) {
        return linear.bias() == null ? null : step.call("to_float", linear.bias());
    }

    /// How many linears there are of each form, by label.
    Map<String, Integer> counts() {
        return counts;
    }

    /// Bytes that the model borrows.
    long borrowed() {
        return linears.borrowed();
    }
}
