package dev.lithe.calibrate;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.DecoderBlock;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part.Kind;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Carries the calibration windows through a model while it is compressed, as GPTQ's authors do:
/// part by part, and inside a block slot by slot (q, k, v; then o; then gate, up; then down). The
/// input of each slot is what the slots before it produce in their compressed form, so later
/// linears make up for the errors of earlier ones. The output layer comes last.
///
/// Memory: the stream of all windows at two places (three where a stage wants the original's too),
/// one block, and the statistics of one slot.
public final class SequentialPass implements AutoCloseable {
    private final TensorScope scope = TensorScope.open();
    private final HiddenStates stream;
    private final HiddenStates afterAttention;
    private final @Nullable HiddenStates original;
    private @Nullable SlotWalk walk;

    /// A pass over `set` that stands before the first part.
    ///
    /// @param targets whether a stage asks for the original's stream
    /// @param spill a folder for the streams, or null to keep them in memory
    public SequentialPass(
            CalibrationSet set, ModelSpec spec, boolean targets, @Nullable Path spill) {
        try {
            this.stream = states(set, spec, spill, "stream");
            this.afterAttention = states(set, spec, spill, "after-attention");
            this.original = targets ? states(set, spec, spill, "original") : null;
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    private HiddenStates states(
            CalibrationSet set, ModelSpec spec, @Nullable Path spill, String name) {
        Path file = spill == null ? null : spill.resolve(name + ".spill");
        return new HiddenStates(set, spec.hiddenSize(), file, scope);
    }

    /// Bytes of its streams.
    public static long bytes(long samples, long context, ModelSpec spec, boolean targets) {
        return (targets ? 3 : 2) * HiddenStates.bytes(samples, context, spec.hiddenSize());
    }

    /// Bytes of one step through a block: a piece of a stream, and in attention queries, keys,
    /// values and scores, or in the feed-forward part gate and up three times over, as a product in
    /// two halves leaves them, with what becomes of them. What one piece frees fits the next badly,
    /// so half as much again is held.
    public static long stepBytes(ModelSpec spec, long context) {
        long tokens = HiddenStates.stepTokens(context);
        long attention = 9L * spec.heads() * spec.headDim() + 3 * spec.heads() * context;
        long feedForward = 12L * spec.intermediateSize();
        return tokens * Float.BYTES * (4L * spec.hiddenSize() + Math.max(attention, feedForward));
    }

    /// Takes `part`, as it is by now, for what later stages have to reproduce.
    public void reference(LoadedPart part) {
        if (original == null) {
            return;
        }
        try (var step = TensorScope.open()) {
            switch (part.part().kind()) {
                case EMBEDDING -> original.embed(part.table(step));
                case BLOCK -> {
                    DecoderBlock block = part.runnable(step);
                    original.become(
                            original,
                            part.part().label(),
                            (x, into) -> block.output(block.afterAttention(x, into), into));
                }
                case OUTPUT -> {}
            }
        }
    }

    /// Goes on behind `part`, which is compressed.
    public void advance(LoadedPart part) {
        try (var step = TensorScope.open()) {
            switch (part.part().kind()) {
                case EMBEDDING -> stream.embed(part.table(step));
                case BLOCK -> walk(part, Slot.LM_HEAD).finish(stream);
                case OUTPUT -> {}
            }
        }
        leave();
    }

    List<Value> inputs() {
        return stream.pieces();
    }

    List<Value> targets() {
        if (original == null) {
            throw LitheException.of(Fault.INTERNAL, "no stage said that it wants targets");
        }
        return original.pieces();
    }

    InputStatistics statistics(LoadedPart part, Slot slot, TensorScope into) {
        if (part.part().kind() == Kind.BLOCK) {
            return walk(part, slot).statistics(slot, into);
        }
        List<LinearName> linears = part.part().linears(slot);
        if (slot == Slot.EMBEDDING) {
            int k = linears.getFirst().inFeatures();
            return new InputStatistics(into.call("identity", k), part.spec().vocabSize(), into);
        }
        return stream.gather(linears, (x, step) -> normed(part, slot, x, step), into);
    }

    void show(LoadedPart part, Slot slot, LoadedPart.InputVisitor visitor) {
        switch (part.part().kind()) {
            case BLOCK -> walk(part, slot).show(slot, visitor);
            case OUTPUT ->
                    stream.show(
                            (x, step) -> normed(part, slot, x, step), part.part().label(), visitor);
            case EMBEDDING ->
                    throw LitheException.of(Fault.INTERNAL, "no channels enter the embedding");
        }
    }

    private static Value normed(LoadedPart part, Slot slot, Value x, TensorScope step) {
        return step.call("norm", x, part.norm(slot), part.spec().normEpsilon());
    }

    /// The last walk where it leads to `slot`, else a new one.
    private SlotWalk walk(LoadedPart part, Slot slot) {
        if (walk == null || !walk.leadsTo(part, slot)) {
            leave();
            walk = new SlotWalk(part, stream, afterAttention);
        }
        return walk;
    }

    private void leave() {
        if (walk != null) {
            walk.close();
            walk = null;
        }
    }

    @Override
    public void close() {
        leave();
        scope.close();
    }
}
