package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;

/// The places of a decoder's norms, a block's in the order in which data passes them; that of
/// `decoder.py` and `lithe.h`.
public enum Norm {
    /// Of the stream before q, k and v.
    INPUT,
    /// Of each query head.
    QUERY,
    /// Of each key head.
    KEY,
    /// Of what attention adds to the stream.
    ATTENTION_OUTPUT,
    /// Of the stream before gate and up.
    MLP_INPUT,
    /// Of what the feed-forward part adds to the stream.
    MLP_OUTPUT,
    /// Of the stream before the output layer.
    FINAL;

    /// How many a block may have.
    static final int OF_BLOCK = 6;

    /// The norm whose output the linears of `slot` read.
    public static Norm before(Slot slot) {
        return switch (slot) {
            case QKV -> INPUT;
            case GATE_UP -> MLP_INPUT;
            case LM_HEAD -> FINAL;
            case O, DOWN, EMBEDDING ->
                    throw LitheException.of(Fault.INTERNAL, "no norm lies before %s", slot);
        };
    }

    /// How many channels it scales.
    public int width(ModelSpec spec) {
        return this == QUERY || this == KEY ? spec.headDim() : spec.hiddenSize();
    }
}
