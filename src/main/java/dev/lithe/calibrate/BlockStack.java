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

/// A model whose blocks can be left out, and what its answers are then, on calibration windows. The
/// whole model is held ready to run. What it once measured it remembers.
public final class BlockStack implements AutoCloseable {
    private final ModelSpec spec;
    private final CalibrationSet set;
    private final TensorScope scope = TensorScope.open();
    private final List<DecoderBlock> blocks = new ArrayList<>();
    private final EmbeddingTable table;
    private final Value norm;
    private final Value head;
    private final HiddenStates stream;
    private final List<Value> original = new ArrayList<>();
    private final Map<BitSet, Answer> measured = new HashMap<>();

    /// How a model answers.
    ///
    /// @param loss mean negative log likelihood of the windows' tokens, in nats
    /// @param divergence mean KL(original || model) at every place, in nats
    public record Answer(double loss, double divergence) {}

    /// A stack of the blocks of `model`, on the windows of `set`.
    public BlockStack(WholeModel model, CalibrationSet set) {
        this.spec = model.spec();
        this.set = set;
        try {
            model.blocks().forEach(part -> blocks.add(part.runnable(scope)));
            this.table = model.embedding().table(scope);
            LoadedPart output = spec.tiedEmbeddings() ? model.embedding() : model.output();
            this.head = DenseWeights.of(output.linear(output.part().linears().getFirst()), scope);
            this.norm = scope.keep(model.output().norm(Slot.LM_HEAD));
            this.stream = new HiddenStates(set, spec.hiddenSize(), null, scope);
            BitSet all = new BitSet();
            all.set(0, blocks.size());
            run(all);
            stream.pieces().forEach(x -> original.add(logits(x, scope)));
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    private Value logits(Value x, TensorScope into) {
        return into.call("head_logits", x, norm, spec.normEpsilon(), head, spec.style().logitCap());
    }

    private void run(BitSet kept) {
        stream.embed(table);
        for (int i = kept.nextSetBit(0); i >= 0; i = kept.nextSetBit(i + 1)) {
            DecoderBlock block = blocks.get(i);
            stream.become(stream, (x, into) -> block.output(block.afterAttention(x, into), into));
        }
    }

    /// How many blocks there are.
    public int blocks() {
        return blocks.size();
    }

    /// How the model answers with only the blocks of `kept`.
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

    /// For every block but the first `span - 1`, the mean over all tokens of the cosine between the
    /// stream before the block and the stream `span` blocks further on: element i compares what
    /// block i reads with what block i + span would.
    public List<Double> cosines(int span) {
        List<HiddenStates> before = new ArrayList<>();
        List<Double> cosines = new ArrayList<>();
        try (var states = TensorScope.open()) {
            var current = new HiddenStates(set, spec.hiddenSize(), null, states);
            current.embed(table);
            before.add(current);
            for (DecoderBlock block : blocks) {
                var next = new HiddenStates(set, spec.hiddenSize(), null, states);
                next.become(
                        before.getLast(),
                        (x, into) -> block.output(block.afterAttention(x, into), into));
                before.add(next);
            }
            for (int i = 0; i + span < before.size(); i++) {
                cosines.add(cosine(before.get(i), before.get(i + span)));
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
