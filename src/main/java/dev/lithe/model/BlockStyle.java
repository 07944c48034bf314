package dev.lithe.model;

/// How a model differs from a plain Llama, as its [ModelFamily] reads it from `config.json`.
///
/// @param inputBias whether q, k and v have biases
/// @param outputBias whether o has one
/// @param mlpBias whether gate, up and down have biases
/// @param headNorms whether each query and key head is normed before it is rotated
/// @param outputNorms whether what attention and feed-forward part add to the stream is normed
/// @param layerNorms whether norms subtract the mean first, and have biases
/// @param positionOffset the row of learned positions that the first token gets; [#ROTARY] where
///   there are none and heads are rotated
/// @param normsAddOne whether a norm's stored scale w stands for 1 + w
/// @param fused whether q, k and v are stored as one linear, and gate and up as another
/// @param activation of the gate
/// @param embeddingScale what embeddings are multiplied by
/// @param attentionScale what dot products of queries and keys are multiplied by, times √hd; 1 is
///   usual
/// @param attentionCap c where such a product x becomes `c tanh(x / c)`; 0 for none
/// @param logitCap the same for logits
/// @param localTheta base of the rotary frequencies in blocks with a window; 0 where it is the
///   others'
public record BlockStyle(
        boolean inputBias,
        boolean outputBias,
        boolean mlpBias,
        boolean headNorms,
        boolean outputNorms,
        boolean layerNorms,
        int positionOffset,
        boolean normsAddOne,
        boolean fused,
        Activation activation,
        double embeddingScale,
        double attentionScale,
        double attentionCap,
        double logitCap,
        double localTheta) {
    /// In the place of an offset.
    static final int ROTARY = -1;

    /// Whether positions are learned vectors.
    public boolean learnedPositions() {
        return positionOffset != ROTARY;
    }

    /// Whether the feed-forward part has a gate.
    public boolean gated() {
        return activation.gates();
    }

    static BlockStyle of(ModelFamily family, ConfigReader config, int hiddenSize, int headDim) {
        return new BlockStyle(
                family.inputBias(config),
                family.outputBias(config),
                family.mlpBias(config),
                family.headNorms(),
                family.outputNorms(),
                family.layerNorms(),
                family.positionOffset(),
                family.normsAddOne(),
                family.fused(),
                family.activation(config),
                family.embeddingScale(hiddenSize),
                family.attentionScale(config, headDim),
                family.attentionCap(config),
                family.logitCap(config),
                family.localTheta(config));
    }
}
