package dev.lithe.model;

import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/// What the kernels of `decoder.py` must know of a model besides its tensors.
///
/// @param shape the integers of `shape.py`, in its order
/// @param numbers norm epsilon, attention scale, attention cap, logit cap, embedding scale, as in
///   [BlockStyle]; then those of [ActivationThresholds]
public record KernelSettings(Value shape, double[] numbers) {
    /// Numbers before the thresholds.
    private static final int STYLE = 5;

    /// Window of a block that chooses pages.
    private static final int PAGES = -1;

    /// Of all blocks.
    public static KernelSettings of(ModelSpec spec, TensorScope scope) {
        List<Integer> blocks = IntStream.range(0, spec.layers()).boxed().toList();
        return new KernelSettings(
                scope.list(shape(spec, blocks)), joined(numbers(spec), spec.thresholds(), blocks));
    }

    /// Of one block, which is then the first.
    public static KernelSettings of(ModelSpec spec, int block, TensorScope scope) {
        List<Integer> blocks = List.of(block);
        return new KernelSettings(
                scope.list(shape(spec, blocks)), joined(numbers(spec), spec.thresholds(), blocks));
    }

    /// Those of one block, with other thresholds.
    KernelSettings with(ActivationThresholds thresholds) {
        return new KernelSettings(
                shape, joined(Arrays.copyOf(numbers, STYLE), thresholds, List.of(0)));
    }

    private static double[] joined(
            double[] style, ActivationThresholds thresholds, List<Integer> blocks) {
        return DoubleStream.concat(Arrays.stream(style), Arrays.stream(thresholds.numbers(blocks)))
                .toArray();
    }

    /// The same without thresholds, in one tensor, for kernels that record gradients: the type of
    /// their multiplications, `numbers`, `shape`.
    ///
    /// @param block the one that it is for, or -1 for all
    public static Value tensor(ModelSpec spec, int block, DType type, TensorScope scope) {
        List<Integer> blocks =
                block < 0 ? IntStream.range(0, spec.layers()).boxed().toList() : List.of(block);
        double[] numbers = numbers(spec);
        long[] shape = shape(spec, blocks);
        float[] all = new float[1 + numbers.length + shape.length];
        all[0] = type.code();
        for (int i = 0; i < numbers.length; i++) {
            all[1 + i] = (float) numbers[i];
        }
        for (int i = 0; i < shape.length; i++) {
            all[1 + numbers.length + i] = shape[i];
        }
        return scope.tensor(all, all.length);
    }

    private static long[] shape(ModelSpec spec, List<Integer> blocks) {
        SparseAttention sparse = spec.sparseAttention();
        PageAttention pages = spec.pageAttention();
        LongStream all =
                LongStream.of(
                        spec.heads(),
                        spec.kvHeads(),
                        spec.headDim(),
                        spec.style().activation().ordinal(),
                        sparse.sinks(),
                        sparse.window(),
                        spec.experts().count(),
                        spec.experts().active(),
                        pages.page(),
                        pages.pages(),
                        sparse.heavy(),
                        sparse.places());
        LongStream windows =
                blocks.stream()
                        .mapToLong(block ->
                                spec.choosesPages(block) ? PAGES : spec.windows().get(block));
        return LongStream.concat(all, windows).toArray();
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
