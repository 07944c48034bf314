package dev.lithe.calibrate;

import dev.lithe.model.DecoderBlock;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.Norm;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The windows on their way through one block, slot by slot.
final class SlotWalk implements AutoCloseable {
    private final LoadedPart part;
    private final HiddenStates before;
    private final HiddenStates afterAttention;
    private final TensorScope scope = TensorScope.open();
    private final DecoderBlock block;
    private final Map<Norm, Value> norms;
    private final List<Slot> slots = new ArrayList<>();
    private final List<Linear> passed = new ArrayList<>();

    /// A walk that stands before the first slot of `part`.
    ///
    /// @param before the stream before the block
    /// @param afterAttention room for the stream between attention and the feed-forward part
    SlotWalk(LoadedPart part, HiddenStates before, HiddenStates afterAttention) {
        this.part = part;
        this.before = before;
        this.afterAttention = afterAttention;
        this.norms = part.norms();
        this.block = new DecoderBlock(part.spec(), part.part().block(), norms, scope);
        if (!part.part().slots().contains(Slot.O)) { // which would bring the stream there
            afterAttention.become(before, part.part().label(), block::afterAttention);
        }
    }

    /// Whether what it passed is still what `now` consists of, and lies before `slot`.
    boolean leadsTo(LoadedPart now, Slot slot) {
        return part == now
                && norms.equals(now.norms())
                && passed.equals(
                        slots.stream().flatMap(done -> now.linears(done).stream()).toList())
                && slots.stream().allMatch(done -> done.compareTo(slot) < 0);
    }

    /// What the linears of `slot` read, on the way through what is before it by now.
    InputStatistics statistics(Slot slot, TensorScope into) {
        return streamFor(slot)
                .gather(part.part().linears(slot), (x, step) -> block.input(slot, x, step), into);
    }

    /// Shows what the linears of `slot` read.
    void show(Slot slot, LoadedPart.InputVisitor visitor) {
        streamFor(slot).show((x, step) -> block.input(slot, x, step), part.part().label(), visitor);
    }

    /// The stream from which [DecoderBlock#input] makes the input of `slot`.
    private HiddenStates streamFor(Slot slot) {
        part.part().slots().stream().filter(other -> other.compareTo(slot) < 0).forEach(this::pass);
        return slot.compareTo(Slot.O) <= 0 ? before : afterAttention;
    }

    /// Makes `after`, which may be the stream before the block, the stream after it.
    void finish(HiddenStates after) {
        part.part().slots().forEach(this::pass);
        after.become(afterAttention, part.part().label(), block::output);
    }

    private void pass(Slot slot) {
        if (slots.contains(slot)) {
            return;
        }
        List<Linear> linears = part.linears(slot);
        block.add(linears);
        slots.add(slot);
        passed.addAll(linears);
        if (slot == Slot.O) {
            afterAttention.become(before, part.part().label(), block::afterAttention);
        }
    }

    @Override
    public void close() {
        scope.close();
    }
}
