package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.LinkedHashMap;
import java.util.Map;

/// One linear layer of an architecture: its name and the shape that the configuration gives it.
///
/// @param module as in the checkpoint, without `.weight`: `model.layers.0.self_attn.q_proj`
/// @param block the block it belongs to, or -1 for embedding and output layer
/// @param slot which input it reads
/// @param outFeatures N; of the embedding the vocabulary
/// @param inFeatures K; of the embedding d
/// @param hasBias whether `module.bias` exists
/// @param transposed whether dense weights are stored with a row per input, (K, N)
public record LinearName(
        String module,
        int block,
        Slot slot,
        int outFeatures,
        int inFeatures,
        boolean hasBias,
        boolean transposed) {
    /// One whose weights are stored with a row per output.
    public LinearName(
            String module, int block, Slot slot, int outFeatures, int inFeatures, boolean hasBias) {
        this(module, block, slot, outFeatures, inFeatures, hasBias, false);
    }

    /// Linears of one slot read the same input, so they can run as one. The embedding is a linear
    /// of one-hot inputs.
    public enum Slot {
        QKV,
        O,
        GATE_UP,
        DOWN,
        LM_HEAD,
        EMBEDDING
    }

    /// The first of two factors of rank r, (r, K).
    public LinearName right(long rank) {
        return new LinearName(
                module + ".right", block, slot, Math.toIntExact(rank), inFeatures, false);
    }

    /// The second of two factors of rank r, (N, r).
    public LinearName left(long rank) {
        return new LinearName(
                module + ".left", block, slot, outFeatures, Math.toIntExact(rank), false);
    }

    /// What two factors are added to, (N, K).
    public LinearName base() {
        return new LinearName(module + ".base", block, slot, outFeatures, inFeatures, false);
    }

    /// The same shape under another name, without bias.
    LinearName of(String owner) {
        return new LinearName(owner, block, slot, outFeatures, inFeatures, false, transposed);
    }

    /// The tensors that store `linear` under this name, by the suffix of theirs.
    public Map<String, Value> tensors(Linear linear, TensorScope into) {
        if (!transposed || !(linear instanceof Linear.Dense dense)) {
            return linear.tensors();
        }
        Map<String, Value> tensors = new LinkedHashMap<>(linear.tensors());
        tensors.put("weight", into.call("transposed_copy", dense.weight()));
        return tensors;
    }

    /// Whether it gives the scores of [Experts]: no gradient comes to it, for whether an expert
    /// runs is yes or no.
    public boolean routes() {
        return module.endsWith(Experts.ROUTER);
    }

    /// Weights, biases aside.
    public long weights() {
        return (long) outFeatures * inFeatures;
    }
}
