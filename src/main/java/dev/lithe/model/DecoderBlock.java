package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// One block of a decoder that becomes runnable slot by slot, in the order in which data passes
/// them: what a slot reads can be computed as soon as the slots before it are there.
///
/// x is the residual stream, (B, T, d) float32, each row a text that starts at position 0: before
/// the block for `QKV` and `O`, after attention for `GATE_UP` and `DOWN`.
public final class DecoderBlock {
    private final ModelSpec spec;
    private final RunnableLinears linears;
    private final Value inputNorm;
    private final Value postAttentionNorm;
    private final Value norms;
    private final Value heads;
    private final RotaryTables rotary;

    /// A block without linears; it lives in `scope`.
    public DecoderBlock(
            ModelSpec spec, Value inputNorm, Value postAttentionNorm, TensorScope scope) {
        this.spec = spec;
        this.linears = new RunnableLinears(scope);
        this.inputNorm = scope.call("to_float", inputNorm);
        this.postAttentionNorm = scope.call("to_float", postAttentionNorm);
        this.norms = scope.list(List.of(this.inputNorm, this.postAttentionNorm));
        this.heads = scope.list(spec.heads(), spec.kvHeads(), spec.headDim());
        this.rotary = new RotaryTables(spec, scope);
    }

    /// Adds the linears of the next slot; what it needs of them is copied or kept.
    public void add(List<Linear> slot) {
        linears.addSlot(slot);
    }

    /// What the linears of `slot` read: (B, T, K).
    public Value input(Slot slot, Value x, TensorScope into) {
        return switch (slot) {
            case QKV -> into.call("norm", x, inputNorm, spec.normEpsilon());
            case O -> attention(x, into);
            case GATE_UP -> into.call("norm", x, postAttentionNorm, spec.normEpsilon());
            case DOWN -> gated(x, into);
            case LM_HEAD, EMBEDDING ->
                    throw LitheException.of(
                            Fault.INTERNAL, "embedding and output layer are in no block");
        };
    }

    /// The stream after attention, from that before the block.
    public Value afterAttention(Value x, TensorScope into) {
        return addProjection(x, attention(x, into), Slot.O, into);
    }

    /// The stream after the block, from that after attention.
    public Value output(Value x, TensorScope into) {
        return addProjection(x, gated(x, into), Slot.DOWN, into);
    }

    private Value attention(Value x, TensorScope into) {
        rotary.cover(x.size(1));
        return into.call(
                "block_attention",
                x,
                linears.weights(),
                linears.packed(),
                linears.parts(),
                linears.slots(),
                norms,
                heads,
                spec.normEpsilon(),
                rotary.cos(),
                rotary.sin());
    }

    private Value gated(Value x, TensorScope into) {
        return into.call(
                "block_gated",
                x,
                linears.weights(),
                linears.packed(),
                linears.parts(),
                linears.slots(),
                norms,
                spec.normEpsilon());
    }

    private Value addProjection(Value x, Value y, Slot slot, TensorScope into) {
        return into.call(
                "add_projection",
                x,
                y,
                slot.ordinal(),
                linears.weights(),
                linears.packed(),
                linears.parts(),
                linears.slots());
    }
}
