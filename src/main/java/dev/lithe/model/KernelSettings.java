package dev.lithe.model;

import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/// What the kernels of `decoder.py` must know of a model besides its tensors.
///
/// @param heads h, g, hd, the activation, sinks and window of [SparseAttention], count and active
///   of [Experts], page and pages of [PageAttention], the window of each block: 0 for none, -1
///   where it chooses pages; and heavy hitters and places of [SparseAttention]
/// @param numbers norm epsilon, attention scale, attention cap, logit cap, embedding scale, as in
///   [BlockStyle]; then those of [ActivationThresholds]
public record KernelSettings(Value heads, double[] numbers) {
    /// Numbers before the thresholds.
    private static final int STYLE = 5;

    /// Window of a block that chooses pages.
    private static final int PAGES = -1;

    /// Of all blocks.
    public static KernelSettings of(ModelSpec spec, TensorScope scope) {
        List<Integer> blocks = IntStream.range(0, spec.layers()).boxed().toList();
        return new KernelSettings(
                scope.list(heads(spec, blocks)), joined(numbers(spec), spec.thresholds(), blocks));
    }

    /// Of one block, which is then the first.
    public static KernelSettings of(ModelSpec spec, int block, TensorScope scope) {
        List<Integer> blocks = List.of(block);
        return new KernelSettings(
                scope.list(heads(spec, blocks)), joined(numbers(spec), spec.thresholds(), blocks));
    }

    /// Those of one block, with other thresholds.
    KernelSettings with(ActivationThresholds thresholds) {
        return new KernelSettings(
                heads, joined(Arrays.copyOf(numbers, STYLE), thresholds, List.of(0)));
    }

    private static double[] joined(
            double[] style, ActivationThresholds thresholds, List<Integer> blocks) {
        return DoubleStream.concat(Arrays.stream(style), Arrays.stream(thresholds.numbers(blocks)))
                .toArray();
    }

    /// The same without thresholds, in one tensor, for kernels that record gradients: the type of
    /// their multiplications, `numbers`, `heads`.
    ///
    /// @param block the one that it is for, or -1 for all
    public static Value tensor(ModelSpec spec, int block, DType type, TensorScope scope) {
        List<Integer> blocks =
                block < 0 ? IntStream.range(0, spec.layers()).boxed().toList() : List.of(block);
        double[] numbers = numbers(spec);
        long[] heads = heads(spec, blocks);
        float[] all = new float[1 + numbers.length + heads.length];
        all[0] = type.code();
        for (int i = 0; i < numbers.length; i++) {
            all[1 + i] = (float) numbers[i];
        }
        for (int i = 0; i < heads.length; i++) {
            all[1 + numbers.length + i] = heads[i];
        }
        return scope.tensor(all, all.length);
    }

    private static long[] heads(ModelSpec spec, List<Integer> blocks) {
        long[] heads = new long[12 + blocks.size()];
        heads[0] = spec.heads();
        heads[1] = spec.kvHeads();
        heads[2] = spec.headDim();
        heads[3] = spec.style().activation().ordinal();
        heads[4] = spec.sparseAttention().sinks();
        heads[5] = spec.sparseAttention().window();
        heads[6] = spec.experts().count();
        heads[7] = spec.experts().active();
        heads[8] = spec.pageAttention().page();
        heads[9] = spec.pageAttention().pages();
        for (int i = 0; i < blocks.size(); i++) {
            int block = blocks.get(i);
            heads[10 + i] = spec.choosesPages(block) ? PAGES : spec.windows().get(block);
        }
        heads[heads.length - 2] = spec.sparseAttention().heavy();
        heads[heads.length - 1] = spec.sparseAttention().places();
        return heads;
    }

    private static double[] numbers(ModelSpec spec) {
        BlockStyle style = spec.style();
        return new double[] {
            spec.normEpsilon(),
            style.attentionScale(),
            style.attentionCap(),
            style.logitCap(),
            style.embeddingScale()
        };
    }
}
