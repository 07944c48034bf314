package dev.lithe.checkpoint;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The tensors of a GGUF file as Lithe names and stores them.
///
/// | type | here |
/// |---|---|
/// | F32, F16, BF16 | the same |
/// | Q8_0, Q4_0, Q5_0 | integers in groups of 32: the same codes and scales |
/// | Q6_K | integers in groups of 16: the same codes, and scales that are its product of two |
/// | Q4_1, Q5_1, Q4_K, Q5_K | the numbers that they stand for, rounded to float16 |
///
/// The first three lines are exact. Rows of q and k are put back in Hugging Face's order.
final class GgufTensors {
    static final String ROPE_FACTORS = "rope_freqs.weight";

    private static final String WEIGHT = ".weight";
    private static final String BIAS = ".bias";

    private final GgufFile gguf;
    private final String architecture;
    private final int headDim;
    private final Map<String, TensorView> views = new LinkedHashMap<>();
    private final Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();

    /// @param headDim coordinates of a head
    GgufTensors(GgufFile gguf, String architecture, int headDim) {
        this.gguf = gguf;
        this.architecture = architecture;
        this.headDim = headDim;
        gguf.tensors().values().stream()
                .filter(tensor -> !tensor.name().equals(ROPE_FACTORS))
                .forEach(this::add);
    }

    /// By name.
    Map<String, TensorView> views() {
        return views;
    }

    /// How each linear is quantized, the embedding among them; null where it is not.
    Map<String, @Nullable Scheme> schemes() {
        return schemes;
    }

    private void add(GgufFile.Tensor tensor) {
        String suffix = tensor.name().endsWith(BIAS) ? BIAS : WEIGHT;
        String module =
                GgufNames.ours(tensor.name().replace(suffix, ""))
                        .filter(_ -> tensor.name().endsWith(suffix))
                        .orElseThrow(() ->
                                LitheException.badInput(
                                        "%s: tensor '%s' has no place in a model of architecture"
                                                + " '%s', as Lithe knows it",
                                        gguf.file(), tensor.name(), architecture));
        if (tensor.shape().size() == 2) {
            schemes.put(module, scheme(tensor.type()));
        }
        boolean turned = GgufNames.turned(architecture, module);
        if (tensor.type().block() == 1) {
            DType type = DType.valueOf(tensor.type().name());
            var stored = stored(tensor, type, tensor.shape());
            view(
                    module + suffix,
                    tensor,
                    type,
                    tensor.shape(),
                    (from, into) -> rows(from.load(stored, into), tensor, turned, into));
            return;
        }
        if (tensor.shape().size() != 2) {
            throw LitheException.badInput(
                    "%s: tensor '%s' has shape %s, and only matrices are stored as %s",
                    gguf.file(), tensor.name(), tensor.shape(), tensor.type());
        }
        long n = tensor.shape().get(0);
        long k = tensor.shape().get(1);
        int type = tensor.type().code();
        long blocks = n * k / tensor.type().block();
        var stored = stored(tensor, DType.U8, List.of(blocks, tensor.bytes() / blocks));
        Scheme scheme = scheme(tensor.type());
        if (scheme == null) {
            int code = DType.F16.code();
            view(
                    module + suffix,
                    tensor,
                    DType.F16,
                    tensor.shape(),
                    (from, into) ->
                            made(
                                    step ->
                                            step.call(
                                                    "gguf_floats",
                                                    from.load(stored, step),
                                                    type,
                                                    n,
                                                    k,
                                                    code),
                                    tensor,
                                    turned,
                                    into));
            return;
        }
        int bits = scheme.bits();
        view(
                module + ".weight_packed",
                tensor,
                DType.I32,
                List.of(n, Math.ceilDiv(k * bits, Integer.SIZE)),
                (from, into) ->
                        made(
                                step ->
                                        step.call(
                                                "gguf_packed",
                                                from.load(stored, step),
                                                type,
                                                bits,
                                                n,
                                                k),
                                tensor,
                                turned,
                                into));
        DType scaleType = tensor.type() == GgufType.Q6_K ? DType.F32 : DType.F16;
        view(
                module + ".weight_scale",
                tensor,
                scaleType,
                List.of(n, k / scheme.groupSize()),
                (from, into) ->
                        made(
                                step ->
                                        step.call(
                                                "gguf_group_scales",
                                                from.load(stored, step),
                                                type,
                                                n,
                                                scaleType.code()),
                                tensor,
                                turned,
                                into));
    }

    private static @Nullable Scheme scheme(GgufType type) {
        return switch (type) {
            case Q8_0 -> new Scheme(8, true, 32, false);
            case Q4_0 -> new Scheme(4, true, 32, false);
            case Q5_0 -> new Scheme(5, true, 32, false);
            case Q6_K -> new Scheme(6, true, 16, false);
            case F32, F16, BF16, Q4_1, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K -> null;
        };
    }

    @FunctionalInterface
    private interface Step {
        Value in(TensorScope step);
    }

    private Value made(Step step, GgufFile.Tensor tensor, boolean turned, TensorScope into) {
        try (var scope = TensorScope.open()) {
            return into.keep(rows(step.in(scope), tensor, turned, scope));
        }
    }

    /// The rows in Hugging Face's order.
    private Value rows(Value found, GgufFile.Tensor tensor, boolean turned, TensorScope into) {
        int count = Math.toIntExact(tensor.shape().getFirst());
        if (!turned || count % headDim != 0) {
            return found;
        }
        int[] theirs = GgufNames.turnedRows(count, headDim);
        long[] ours = new long[count];
        for (int row = 0; row < count; row++) {
            ours[theirs[row]] = row;
        }
        try (var step = TensorScope.open()) {
            return into.call("select", found, 0, step.tensor(ours, count));
        }
    }

    private TensorEntry stored(GgufFile.Tensor tensor, DType type, List<Long> shape) {
        return new TensorEntry(
                tensor.name(), type, shape, gguf.file(), tensor.offset(), tensor.bytes());
    }

    private void view(
            String name,
            GgufFile.Tensor tensor,
            DType type,
            List<Long> shape,
            TensorView.Maker maker) {
        long bytes = shape.stream().reduce((long) type.bytes(), (a, b) -> a * b);
        var entry = new TensorEntry(name, type, shape, gguf.file(), tensor.offset(), bytes);
        views.put(name, new TensorView(entry, maker));
    }

    /// By what a file divides the frequency of each of `pairs` pairs; none where it says nothing.
    static List<Float> ropeFactors(GgufFile gguf, int pairs) {
        GgufFile.Tensor tensor = gguf.tensors().get(ROPE_FACTORS);
        List<Float> factors = new ArrayList<>();
        if (tensor == null) {
            return factors;
        }
        if (tensor.type() != GgufType.F32 || !tensor.shape().equals(List.of((long) pairs))) {
            throw LitheException.badInput(
                    "%s: tensor '%s' is %s of shape %s; it must be %d of F32",
                    gguf.file(), ROPE_FACTORS, tensor.type(), tensor.shape(), pairs);
        }
        Path file = gguf.file();
        try (TensorFile mapped = TensorFile.open(file);
                var step = TensorScope.open()) {
            var entry =
                    new TensorEntry(
                            ROPE_FACTORS,
                            DType.F32,
                            tensor.shape(),
                            file,
                            tensor.offset(),
                            tensor.bytes());
            for (float factor : mapped.copy(entry, step).floats()) {
                factors.add(factor);
            }
        }
        return factors;
    }
}
