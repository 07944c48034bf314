package dev.lithe.calibrate;

import dev.lithe.model.Architecture;
import dev.lithe.model.DecoderBlock;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Carries the calibration windows through a model while it is compressed, as GPTQ's authors do:
/// block by block, and inside a block slot by slot (q, k, v; then o; then gate, up; then down). The
/// input of each slot is what the slots before it produce in their compressed form, so later
/// linears make up for the errors of earlier ones. The output layer comes last.
///
/// Memory: the hidden states of all windows, one block, and the statistics of one slot.
public final class SequentialPass implements AutoCloseable {
    /// What happens to the linears of a slot.
    @FunctionalInterface
    public interface SlotWork {
        /// Compresses `slot`.
        ///
        /// @param seen gathers the statistics of the slot's input on the first call
        /// @param scope owns the result
        /// @return the linears as they run from now on, in the order of `slot`
        List<Linear> compress(
                List<LinearName> slot, Supplier<InputStatistics> seen, TensorScope scope);
    }

    /// Reads tensors that are no linear's: embedding and norms, as they will be written.
    @FunctionalInterface
    public interface Source {
        /// The tensor called `name`, owned by `into`.
        Value load(String name, TensorScope into);
    }

    private final ModelSpec spec;
    private final Source source;
    private final TensorScope scope = TensorScope.open();
    private final HiddenStates states;

    /// A pass over `set` that stands before the first block.
    public SequentialPass(CalibrationSet set, ModelSpec spec, Source source) {
        this.spec = spec;
        this.source = source;
        try (var step = TensorScope.open()) {
            this.states = new HiddenStates(set, source.load(Architecture.EMBEDDING, step), scope);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    HiddenStates states() {
        return states;
    }

    /// Goes through the whole model.
    public void run(SlotWork work) {
        for (int block = 0; block < spec.layers(); block++) {
            block(block, work);
        }
        if (!spec.tiedEmbeddings()) {
            output(work);
        }
    }

    private void block(int number, SlotWork work) {
        Map<Slot, List<LinearName>> slots = new EnumMap<>(Slot.class);
        for (LinearName name : Architecture.block(spec, number)) {
            slots.computeIfAbsent(name.slot(), _ -> new ArrayList<>()).add(name);
        }
        try (var blockScope = TensorScope.open()) {
            var block =
                    new DecoderBlock(
                            spec,
                            source.load(Architecture.inputNorm(number), blockScope),
                            source.load(Architecture.postAttentionNorm(number), blockScope),
                            blockScope);
            for (Map.Entry<Slot, List<LinearName>> slot : slots.entrySet()) {
                try (var step = TensorScope.open()) {
                    HiddenStates.Step input = (x, into) -> block.input(slot.getKey(), x, into);
                    block.add(
                            work.compress(
                                    slot.getValue(), seen(slot.getValue(), input, step), step));
                }
                if (slot.getKey() == Slot.O) {
                    states.replace(block::afterAttention);
                }
            }
            states.replace(block::output);
        }
    }

    private void output(SlotWork work) {
        List<LinearName> slot = List.of(Architecture.linears(spec).getLast());
        try (var step = TensorScope.open()) {
            Value norm = step.call("to_float", source.load(Architecture.FINAL_NORM, step));
            HiddenStates.Step input = (x, into) -> into.call("norm", x, norm, spec.normEpsilon());
            List<Linear> _ = work.compress(slot, seen(slot, input, step), step);
        }
    }

    private Supplier<InputStatistics> seen(
            List<LinearName> slot, HiddenStates.Step input, TensorScope step) {
        return new Supplier<>() {
            private @Nullable InputStatistics gathered;

            @Override
            public InputStatistics get() {
                if (gathered == null) {
                    gathered = states.gather(slot, input, step);
                }
                return gathered;
            }
        };
    }

    @Override
    public void close() {
        scope.close();
    }
}
