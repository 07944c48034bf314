package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/// One block of a decoder that becomes runnable slot by slot, in the order in which data passes
/// them: what a slot reads can be computed as soon as the slots before it are there.
///
/// What it lacks ([Sublayers]) leaves the stream as it is.
///
/// x is the residual stream, (B, T, d) float32, each row a text that starts at position 0: before
/// the block for `QKV` and `O`, after attention for `GATE_UP` and `DOWN`.
public final class DecoderBlock {
    private final ModelSpec spec;
    private final boolean attends;
    private final boolean feeds;
    private final RunnableLinears linears;
    private final Map<Norm, Value> scales;
    private final Value norms;
    private KernelSettings settings;
    private final RotaryTables rotary;

    /// Block number `block` without linears; it lives in `scope`.
    ///
    /// @param scales of its norms
    public DecoderBlock(ModelSpec spec, int block, Map<Norm, Value> scales, TensorScope scope) {
        this.spec = spec;
        this.attends = spec.sublayers().attends(block);
        this.feeds = spec.sublayers().feeds(block);
        this.linears = new RunnableLinears(scope);
        if (!attends) { // its slots are empty
            linears.addSlot(List.of());
            linears.addSlot(List.of());
        }
        this.scales = new EnumMap<>(Norm.class);
        scales.forEach((norm, scale) -> this.scales.put(norm, scope.keep(scale)));
        this.norms = scope.list(NormScales.ofBlock(this.scales, scope));
        this.settings = KernelSettings.of(spec, block, scope);
        this.rotary = new RotaryTables(spec, Device.CPU, scope);
    }

    /// Adds the linears of the next slot; what it needs of them is copied or kept.
    public void add(List<Linear> slot) {
        linears.addSlot(slot);
    }

    /// Takes inputs below these magnitudes for 0 from now on.
    ///
    /// @param thresholds of one block
    public void limit(ActivationThresholds thresholds) {
        settings = settings.with(thresholds);
    }

    /// What the linears of `slot` read: (B, T, K).
    public Value input(Slot slot, Value x, TensorScope into) {
        return switch (slot) {
            case QKV, GATE_UP -> into.call("norm", x, scale(Norm.before(slot)), spec.normEpsilon());
            case O -> attention(x, into);
            case DOWN -> gated(x, into);
            case LM_HEAD, EMBEDDING ->
                    throw LitheException.of(
                            Fault.INTERNAL, "embedding and output layer are in no block");
        };
    }

    private Value scale(Norm norm) {
        return Objects.requireNonNull(scales.get(norm));
    }

    /// The stream after attention, from that before the block: x itself where there is none.
    public Value afterAttention(Value x, TensorScope into) {
        return attends ? addProjection(x, attention(x, into), Slot.O, into) : x;
    }

    /// The stream after the block, from that after attention: x itself where nothing is left to do.
    public Value output(Value x, TensorScope into) {
        return feeds ? addProjection(x, gated(x, into), Slot.DOWN, into) : x;
    }

    private Value attention(Value x, TensorScope into) {
        try (var step = TensorScope.open()) {
            int tokens = x.size(1);
            Angles angles = rotary.angles(new long[] {tokens}, new long[1], tokens, step);
            List<Object> arguments = arguments(x);
            arguments.addAll(List.of(settings.shape(), settings.numbers()));
            arguments.addAll(List.of(angles.cos(), angles.sin()));
            return into.call("block_attention", arguments.toArray());
        }
    }

    /// What was given, then linears and norms.
    private List<Object> arguments(Object... given) {
        List<Object> all = new ArrayList<>(List.of(given));
        all.addAll(linears.arguments());
        all.add(norms);
        return all;
    }

    private Value gated(Value x, TensorScope into) {
        List<Object> arguments = arguments(x);
        arguments.addAll(List.of(settings.shape(), settings.numbers()));
        return into.call("block_gated", arguments.toArray());
    }

    private Value addProjection(Value x, Value y, Slot slot, TensorScope into) {
        List<Object> arguments = arguments(x, y, slot.ordinal());
        arguments.add(settings.numbers());
        return into.call("add_projection", arguments.toArray());
    }
}
