package dev.lithe.calibrate;

import dev.lithe.model.DecoderBlock;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.EmbeddingTable;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/// A model whose blocks, or their attention and feed-forward parts, can be left out, and what its
/// answers are then, on calibration windows. The whole model is held ready to run. What it once
/// measured it remembers.
public final class BlockStack implements AutoCloseable {
    private final ModelSpec spec;
    private final CalibrationSet set;
    private final TensorScope scope = TensorScope.open();
    private final List<DecoderBlock> blocks = new ArrayList<>();
    private final Parts parts;
    private final List<Unit> units;
    private final EmbeddingTable table;
    private final Value norm;
    private final Value head;
    private final HiddenStates stream;
    private final List<Value> original = new ArrayList<>();
    private final Map<BitSet, Answer> measured = new HashMap<>();

    /// What is left out as one.
    public enum Parts {
        BLOCKS,
        ATTENTION,
        MLP,
        /// Attention and feed-forward parts, each by itself.
        ANY
    }

    /// What can be left out of block `block`.
    ///
    /// @param attention whether its attention goes
    /// @param mlp whether its feed-forward part goes
    public record Unit(int block, boolean attention, boolean mlp) {}

    /// How a model answers.
    ///
    /// @param loss mean negative log likelihood of the windows' tokens, in nats
    /// @param divergence mean KL(original || model) at every place, in nats
    public record Answer(double loss, double divergence) {}

    /// A stack of the blocks of `model`, on the windows of `set`.
    public BlockStack(WholeModel model, CalibrationSet set) {
        this(model, set, Parts.BLOCKS);
    }

    /// A stack of those `parts` of `model` that it has, on the windows of `set`.
    public BlockStack(WholeModel model, CalibrationSet set, Parts parts) {
        this.spec = model.spec();
        this.set = set;
        this.parts = parts;
        this.units = units(spec, parts);
        try {
            model.blocks().forEach(part -> blocks.add(part.runnable(scope)));
            this.table = model.embedding().table(scope);
            LoadedPart output = spec.tiedEmbeddings() ? model.embedding() : model.output();
            this.head = DenseWeights.of(output.linear(output.part().linears().getFirst()), scope);
            this.norm = scope.keep(model.output().norm(Slot.LM_HEAD));
            this.stream = new HiddenStates(set, spec.hiddenSize(), null, scope);
            run(everything());
            stream.pieces().forEach(x -> original.add(logits(x, scope)));
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    private Value logits(Value x, TensorScope into) {
        return into.call("head_logits", x, norm, spec.normEpsilon(), head, spec.style().logitCap());
    }

    /// What can be left out of a model of shapes `spec`, in the order in which data passes it.
    public static List<Unit> units(ModelSpec spec, Parts parts) {
        List<Unit> units = new ArrayList<>();
        for (int block = 0; block < spec.layers(); block++) {
            if (parts == Parts.BLOCKS) {
                units.add(new Unit(block, true, true));
                continue;
            }
            if (parts != Parts.MLP && spec.sublayers().attends(block)) {
                units.add(new Unit(block, true, false));
            }
            if (parts != Parts.ATTENTION && spec.sublayers().feeds(block)) {
                units.add(new Unit(block, false, true));
            }
        }
        return units;
    }

    private void run(BitSet kept) {
        stream.embed(table);
        for (int block = 0; block < blocks.size(); block++) {
            Unit left = left(block, kept);
            if (left.attention() || left.mlp()) {
                stream.become(stream, (x, into) -> through(left, x, into));
            }
        }
    }

    /// What of a block runs.
    private Unit left(int block, BitSet kept) {
        boolean attention = true;
        boolean mlp = true;
        for (int i = kept.nextClearBit(0); i < units.size(); i = kept.nextClearBit(i + 1)) {
            Unit gone = units.get(i);
            attention &= gone.block() != block || !gone.attention();
            mlp &= gone.block() != block || !gone.mlp();
        }
        return new Unit(block, attention, mlp);
    }

    private Value through(Unit unit, Value x, TensorScope into) {
        DecoderBlock block = blocks.get(unit.block());
        Value y = unit.attention() ? block.afterAttention(x, into) : x;
        return unit.mlp() ? block.output(y, into) : y;
    }

    /// What can be left out of this one.
    public List<Unit> units() {
        return List.copyOf(units);
    }

    /// All units.
    public BitSet everything() {
        BitSet all = new BitSet();
        all.set(0, units.size());
        return all;
    }

    /// Whether a model of the units of `kept` can be: some block has to attend.
    public boolean allows(BitSet kept) {
        return IntStream.range(0, blocks.size())
                .filter(spec.sublayers()::attends)
                .anyMatch(block -> left(block, kept).attention());
    }

    /// How the model answers with only the units of `kept`.
    public Answer without(BitSet kept) {
        Answer known = measured.get(kept);
        if (known != null) {
            return known;
        }
        run(kept);
        double loss = 0;
        double divergence = 0;
        int windows = 0;
        for (int i = 0; i < original.size(); i++) {
            try (var step = TensorScope.open()) {
                Value logits = logits(stream.pieces().get(i), step);
                int rows = logits.size(0);
                Value ids = step.tensor(set.ids(windows, windows + rows), rows, set.context());
                loss += rows * step.call("mean_loss", logits, ids).number();
                divergence += rows * step.call("mean_divergence", original.get(i), logits).number();
                windows += rows;
            }
        }
        var answer = new Answer(loss / windows, divergence / windows);
        measured.put((BitSet) kept.clone(), answer);
        return answer;
    }

    /// For every unit but the last `span - 1`, the mean over all tokens of the cosine between the
    /// stream before it and the stream `span` units further on: element i compares what unit i
    /// reads with what unit i + span would. Parts of blocks have a `span` of 1.
    public List<Double> cosines(int span) {
        List<Unit> steps = parts == Parts.BLOCKS ? units : units(spec, Parts.ANY);
        List<Double> cosines = new ArrayList<>();
        try (var states = TensorScope.open()) {
            List<HiddenStates> last = new ArrayList<>();
            for (int i = 0; i <= span; i++) {
                last.add(new HiddenStates(set, spec.hiddenSize(), null, states));
            }
            last.getFirst().embed(table);
            for (int i = 0; i < steps.size(); i++) {
                Unit step = steps.get(i);
                HiddenStates next = last.get((i + 1) % last.size());
                next.become(last.get(i % last.size()), (x, into) -> through(step, x, into));
                int first = i + 1 - span;
                if (first >= 0 && units.contains(steps.get(first))) {
                    cosines.add(cosine(last.get(first % last.size()), next));
                }
            }
        }
        return cosines;
    }

    private static double cosine(HiddenStates a, HiddenStates b) {
        double sum = 0;
        int windows = 0;
        for (int i = 0; i < a.pieces().size(); i++) {
            try (var step = TensorScope.open()) {
                Value x = a.pieces().get(i);
                int rows = x.size(0);
                sum += rows * step.call("mean_cosine", x, b.pieces().get(i)).number();
                windows += rows;
            }
        }
        return sum / windows;
    }

    @Override
    public void close() {
        scope.close();
    }
}
