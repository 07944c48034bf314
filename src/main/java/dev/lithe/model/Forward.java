package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.Map;

/// How tokens pass through a decoder's blocks: by the kernels of `src/main/c`, or by libtorch.
sealed interface Forward permits NativeForward, TorchForward {
    /// Adds the linears of the next slot; what it needs of them is copied or kept.
    void addSlot(List<Linear> linears);

    /// How the linears run, by label, with the number of each.
    Map<String, Integer> kernels();

    /// Bytes of the linears and norms.
    long bytes();

    /// T new tokens of B sequences, all at `position`.
    ///
    /// @param ids (B, T) int64
    /// @return logits (B, T, V), or (B, 1, V) of the last position, float32
    Value forward(
            Value ids,
            int position,
            KvCache cache,
            boolean allPositions,
            Angles angles,
            TensorScope into);

    /// T new tokens of one sequence.
    ///
    /// @return logits (V) of the last
    float[] next(int[] ids, int position, KvCache cache, Angles angles);

    /// New tokens of several sequences.
    ///
    /// @return logits of all, (T, V), or of each one's last, (B, V), row-major whatever the outer
    ///   dimensions
    Value extend(Pieces pieces, boolean allPositions, Angles angles, TensorScope into);

    /// Takes x (1, T, d) through the blocks from `first` to before `end`; it may be changed in
    /// place.
    Value runBlocks(Value x, int first, int end, Pieces pieces, Angles angles, TensorScope into);

    /// Logits (B, V) of each sequence's last token from x (1, T, d) after the last block.
    Value head(Value x, Pieces pieces, Angles angles, TensorScope into);
}
