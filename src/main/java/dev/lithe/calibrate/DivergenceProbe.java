package dev.lithe.calibrate;

import dev.lithe.model.DecoderBlock;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part.Kind;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;

/// How far the answers of a model move when one linear changes: the mean of KL(original || changed)
/// over the next-token distributions at every place of a few windows. Holds the whole model ready
/// to run, and the original's logits.
public final class DivergenceProbe implements AutoCloseable {
    private final List<LoadedPart> parts;
    private final ModelSpec spec;
    private final CalibrationSet set;
    private final TensorScope scope = TensorScope.open();
    private final List<DecoderBlock> blocks = new ArrayList<>();
    private final Value head;
    private final HiddenStates changed;
    private final List<HiddenStates> before = new ArrayList<>();
    private final List<Value> logits = new ArrayList<>();

    /// A probe of the model that consists of `parts`, all loaded, on the windows of `set`.
    public DivergenceProbe(List<LoadedPart> parts, CalibrationSet set) {
        this.parts = List.copyOf(parts);
        this.spec = parts.getFirst().spec();
        this.set = set;
        try {
            for (LoadedPart part : parts) {
                if (part.part().kind() == Kind.BLOCK) {
                    blocks.add(part.runnable(scope));
                }
            }
            LoadedPart output = spec.tiedEmbeddings() ? parts.getFirst() : parts.getLast();
            LinearName name = output.part().linears().getFirst();
            this.head = DenseWeights.of(output.linear(name), scope);
            this.changed = new HiddenStates(set, spec.hiddenSize(), null, scope);
            run();
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /// Keeps the stream before every part, and the logits.
    private void run() {
        HiddenStates stream = states();
        LoadedPart embedding = parts.getFirst();
        try (var step = TensorScope.open()) {
            stream.embed(embedding.table(step));
        }
        before.add(stream);
        for (DecoderBlock block : blocks) {
            HiddenStates next = states();
            next.become(before.getLast(), (x, into) -> through(block, x, into));
            before.add(next);
        }
        for (Value x : before.getLast().pieces()) {
            logits.add(logits(x, head, scope));
        }
    }

    private HiddenStates states() {
        return new HiddenStates(set, spec.hiddenSize(), null, scope);
    }

    private static Value through(DecoderBlock block, Value x, TensorScope into) {
        return block.output(block.afterAttention(x, into), into);
    }

    private Value logits(Value x, Value weights, TensorScope into) {
        Value norm = parts.getLast().norm(Slot.LM_HEAD);
        return into.call(
                "head_logits", x, norm, spec.normEpsilon(), weights, spec.style().logitCap());
    }

    /// The divergence when `name` is replaced by `by`, in nats.
    public double divergence(LinearName name, Linear by) {
        try (var step = TensorScope.open()) {
            Value weights = head;
            int next = 0;
            switch (name.slot()) {
                case EMBEDDING -> {
                    LoadedPart embedding = parts.getFirst();
                    changed.embed(embedding.table(name, by, step));
                    boolean tokens = name.equals(embedding.part().linears().getFirst());
                    weights = tokens && spec.tiedEmbeddings() ? DenseWeights.of(by, step) : head;
                }
                case LM_HEAD -> {
                    next = blocks.size();
                    weights = DenseWeights.of(by, step);
                    changed.become(before.getLast(), (x, _) -> x);
                }
                case QKV, O, GATE_UP, DOWN -> {
                    next = name.block() + 1;
                    DecoderBlock block = parts.get(next).runnable(name, by, step);
                    changed.become(before.get(name.block()), (x, into) -> through(block, x, into));
                }
            }
            for (DecoderBlock block : blocks.subList(next, blocks.size())) {
                changed.become(changed, (x, into) -> through(block, x, into));
            }
            return divergence(weights);
        }
    }

    private double divergence(Value weights) {
        double sum = 0;
        long rows = 0;
        for (int i = 0; i < logits.size(); i++) {
            try (var step = TensorScope.open()) {
                Value x = changed.pieces().get(i);
                Value answer = logits(x, weights, step);
                sum += step.call("mean_divergence", logits.get(i), answer).number() * x.size(0);
                rows += x.size(0);
            }
        }
        return sum / rows;
    }

    @Override
    public void close() {
        scope.close();
    }
}
