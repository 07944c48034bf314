package dev.lithe.model;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.Finite;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Format;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.checkpoint.TensorEntry;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Finds out in which form a checkpoint stores each linear layer, and loads it. Shapes are checked
/// against the configuration before anything is read.
public final class LinearReader {
    /// Tensors, one of which every linear has, with a row per output.
    private static final List<String> ROW_TENSORS =
            List.of(".weight", ".weight_packed", ".weight_indices", ".weight_mask");

    private final Checkpoint checkpoint;
    private final QuantizationMetadata quantization;

    /// A reader of `checkpoint`'s linears.
    public LinearReader(Checkpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.quantization =
                QuantizationMetadata.of(checkpoint.config(), checkpoint.folder() + "/config.json");
    }

    /// The form of `name`, from headers alone.
    ///
    /// @throws LitheException where tensors are missing or have another shape than the
    ///   configuration says
    public LinearForm form(LinearName name) {
        long n = name.outFeatures();
        long k = name.inFeatures();
        if (name.hasBias()) {
            expectFloat(name.module() + ".bias", n);
        }
        String owner = quantization.ownerOf(name.module());
        if (owner != null) {
            requireFormat(name, scheme(name, "shared"), Format.SHARED);
            return new LinearForm.Shared(form(name.of(owner)), owner);
        }
        long rank = rows(name.module() + ".right");
        if (rank > 0) {
            requireFormat(name, scheme(name, "low-rank"), Format.LOW_RANK);
            boolean hasBase = rows(name.module() + ".base") > 0;
            return new LinearForm.LowRank(
                    hasBase ? form(name.base()) : null,
                    form(name.right(rank)),
                    form(name.left(rank)),
                    rank);
        }
        if (checkpoint.has(name.module() + ".weight_packed")) {
            return grouped(name, n, k);
        }
        if (checkpoint.has(name.module() + ".weight_indices")) {
            return codebook(name, n, k);
        }
        if (checkpoint.has(name.module() + ".weight_mask")) {
            return masked(name, n, k);
        }
        TensorEntry weight = checkpoint.entry(name.module() + ".weight");
        boolean transposed = name.transposed() && weight.dtype().isFloat();
        weight = expect(weight.name(), null, transposed ? k : n, transposed ? n : k);
        if (weight.dtype() == DType.I8 || weight.dtype() == DType.F8_E4M3) {
            return scaled(name, weight.dtype(), n);
        }
        if (!weight.dtype().isFloat()) {
            throw LitheException.badInput(
                    "%s: tensor '%s' is %s; weights are float, or int8 or float8 with a scale",
                    checkpoint.folder(), weight.name(), weight.dtype());
        }
        return new LinearForm.Dense(weight.dtype());
    }

    /// Outputs of the linear that is stored as `module`, in whatever form; 0 where there is none.
    private long rows(String module) {
        String owner = quantization.ownerOf(module);
        for (String tensor : ROW_TENSORS) {
            String name = (owner == null ? module : owner) + tensor;
            if (checkpoint.has(name) && !checkpoint.entry(name).shape().isEmpty()) {
                return Math.min(checkpoint.entry(name).shape().getFirst(), Integer.MAX_VALUE);
            }
        }
        return 0;
    }

    /// Eight-bit weights, one per byte.
    private LinearForm scaled(LinearName name, DType type, long n) {
        expectNoZeroPoint(name.module());
        String scale = name.module() + ".weight_scale";
        DType scaleType = checkpoint.entry(scale).dtype();
        Scheme scheme = scheme(name, type.torchName());
        boolean floats = type == DType.F8_E4M3;
        if (floats != (scheme.format() == Format.FLOAT_QUANTIZED)) {
            requireFormat(name, scheme, floats ? Format.FLOAT_QUANTIZED : Format.INT_QUANTIZED);
        }
        boolean perTensor = scheme.groupSize() == Scheme.TENSOR;
        if (perTensor) {
            expectFloat(scale, 1);
        } else {
            expectFloat(scale, n, 1);
        }
        return type == DType.I8
                ? new LinearForm.Int8(scaleType, scheme.dynamicActivations())
                : new LinearForm.Float8(perTensor, scheme.dynamicActivations(), scaleType);
    }

    private Scheme scheme(LinearName name, String stored) {
        Scheme scheme = quantization.schemeOf(name.module());
        if (scheme == null) {
            throw LitheException.badInput(
                    "%s: '%s' is %s, but config.json's quantization_config says nothing about it",
                    checkpoint.folder(), name.module(), stored);
        }
        return scheme;
    }

    private LinearForm codebook(LinearName name, long n, long k) {
        Scheme scheme = scheme(name, "a codebook");
        requireFormat(name, scheme, Format.CODEBOOK);
        requireDividing(name, scheme);
        String module = name.module();
        TensorEntry table = checkpoint.entry(module + ".weight_table");
        boolean rowTables = table.shape().equals(List.of(n, 1L << scheme.bits())) && n > 1;
        String scale = module + ".weight_scale";
        DType scaleType = scheme.groupSize() == 0 ? table.dtype() : checkpoint.entry(scale).dtype();
        var form =
                new LinearForm.Codebook(
                        scheme.bits(), scheme.groupSize(), rowTables, table.dtype(), scaleType);
        expect(module + ".weight_indices", DType.I32, n, form.words(k));
        expectFloat(table.name(), rowTables ? n : 1, form.entries());
        if (form.quantizedScales()) {
            expect(scale, DType.I8, n, form.groups(k));
            expect(scale + "_block", DType.F32, form.scaleBlocks(n, k));
            expect(scale + "_mean", DType.F32, 1);
        } else if (form.groupSize() != 0) {
            expectFloat(scale, n, form.groups(k));
        }
        return form;
    }

    private LinearForm masked(LinearName name, long n, long k) {
        requireFormat(name, scheme(name, "masked"), Format.BITMASK);
        expect(name.module() + ".weight_mask", DType.I32, n, LinearForm.Masked.words(k));
        TensorEntry values = checkpoint.entry(name.module() + ".weight_values");
        expectFloat(values.name(), values.elements());
        if (values.elements() > n * k) {
            throw LitheException.badInput(
                    "%s: tensor '%s' has %d elements for %d weights",
                    checkpoint.folder(), values.name(), values.elements(), n * k);
        }
        return new LinearForm.Masked(values.dtype(), values.elements(), n * k);
    }

    private void requireFormat(LinearName name, Scheme scheme, Format format) {
        if (scheme.format() != format) {
            throw LitheException.badInput(
                    "%s: '%s' is stored as %s, but config.json says %s",
                    checkpoint.folder(), name.module(), format.label(), scheme.format().label());
        }
    }

    private void requireDividing(LinearName name, Scheme scheme) {
        if (scheme.groupSize() > 0 && name.inFeatures() % scheme.groupSize() != 0) {
            throw LitheException.badInput(
                    "%s: '%s' has %d inputs, no multiple of its group size %d",
                    checkpoint.folder(), name.module(), name.inFeatures(), scheme.groupSize());
        }
    }

    private LinearForm grouped(LinearName name, long n, long k) {
        Scheme scheme = scheme(name, "packed");
        if (scheme.format() == Format.FLOAT_QUANTIZED
                || scheme.format() == Format.CODEBOOK
                || scheme.format() == Format.BITMASK) {
            requireFormat(name, scheme, Format.PACK_QUANTIZED);
        }
        requireDividing(name, scheme);
        DType scaleType = checkpoint.entry(name.module() + ".weight_scale").dtype();
        var form =
                new LinearForm.Grouped(scheme.bits(), scheme.groupSize(), zero(scheme), scaleType);
        expect(name.module() + ".weight_packed", DType.I32, n, form.words(k));
        expectFloat(name.module() + ".weight_scale", n, form.groups(k));
        String zero = name.module() + ".weight_zero_point";
        switch (form.zero()) {
            case NONE -> expectNoZeroPoint(name.module());
            case INTEGER -> expect(zero, DType.I32, form.words(n), form.groups(k));
            case FRACTIONAL -> expect(zero, DType.U8, n, form.groups(k));
        }
        return form;
    }

    private static LinearForm.ZeroPoint zero(Scheme scheme) {
        if (scheme.format() == Format.FRACTIONAL_ZEROS) {
            return LinearForm.ZeroPoint.FRACTIONAL;
        }
        return scheme.symmetric() ? LinearForm.ZeroPoint.NONE : LinearForm.ZeroPoint.INTEGER;
    }

    private void expectNoZeroPoint(String module) {
        if (checkpoint.has(module + ".weight_zero_point")) {
            throw LitheException.badInput(
                    "%s: '%s' has zero points, which a symmetric or 8-bit channel-wise form cannot have",
                    checkpoint.folder(), module);
        }
    }

    private TensorEntry expectFloat(String tensor, long... shape) {
        TensorEntry entry = expect(tensor, null, shape);
        if (!entry.dtype().isFloat()) {
            throw LitheException.badInput(
                    "%s: tensor '%s' is %s, expected a float type",
                    checkpoint.folder(), tensor, entry.dtype());
        }
        return entry;
    }

    private TensorEntry expect(String tensor, @Nullable DType dtype, long... shape) {
        TensorEntry entry = checkpoint.entry(tensor);
        List<Long> expected = Arrays.stream(shape).boxed().toList();
        if (!entry.shape().equals(expected)) {
            throw LitheException.badInput(
                    "%s: tensor '%s' has shape %s, config.json asks for %s",
                    checkpoint.folder(), tensor, entry.shape(), expected);
        }
        if (dtype != null && entry.dtype() != dtype) {
            throw LitheException.badInput(
                    "%s: tensor '%s' is %s, expected %s",
                    checkpoint.folder(), tensor, entry.dtype(), dtype);
        }
        return entry;
    }

    /// Loads `name`; its tensors are views over the checkpoint's mapped files.
    public Linear read(LinearName name, TensorScope scope) {
        String module = name.module();
        LinearForm form = form(name);
        Value bias = name.hasBias() ? finite(module + ".bias", scope) : null;
        return switch (form) {
            case LinearForm.LowRank factors ->
                    new Linear.LowRank(
                            factors.base() == null ? null : read(name.base(), scope),
                            read(name.right(factors.rank()), scope),
                            read(name.left(factors.rank()), scope),
                            bias,
                            factors);
            case LinearForm.Shared shared ->
                    new Linear.Shared(read(name.of(shared.owner()), scope), bias, shared);
            case LinearForm.Dense dense -> new Linear.Dense(weight(name, scope), bias, dense);
            case LinearForm.Int8 int8 ->
                    new Linear.Int8(
                            checkpoint.load(module + ".weight", scope),
                            finite(module + ".weight_scale", scope),
                            bias,
                            int8);
            case LinearForm.Float8 float8 ->
                    new Linear.Float8(
                            checkpoint.load(module + ".weight", scope),
                            finite(module + ".weight_scale", scope),
                            bias,
                            float8);
            case LinearForm.Codebook codebook ->
                    new Linear.Codebook(
                            checkpoint.load(module + ".weight_indices", scope),
                            finite(module + ".weight_table", scope),
                            scales(codebook, module + ".weight_scale", scope),
                            scope.tensor(new long[] {name.outFeatures(), name.inFeatures()}, 2),
                            bias,
                            codebook);
            case LinearForm.Masked masked -> masked(name, masked, bias, scope);
            case LinearForm.Grouped grouped ->
                    new Linear.Grouped(
                            checkpoint.load(module + ".weight_packed", scope),
                            finite(module + ".weight_scale", scope),
                            grouped.symmetric()
                                    ? null
                                    : finite(module + ".weight_zero_point", scope),
                            scope.tensor(new long[] {name.outFeatures(), name.inFeatures()}, 2),
                            bias,
                            grouped);
        };
    }

    /// What many weights are multiplied by. Kernels that round their input to integers would take
    /// an input that is no number, which such a scale makes of the next linear's, for some integer.
    private Value finite(String tensor, TensorScope scope) {
        Value loaded = checkpoint.load(tensor, scope);
        Finite.require(checkpoint.folder(), tensor, loaded);
        return loaded;
    }

    private Value weight(LinearName name, TensorScope scope) {
        if (!name.transposed()) {
            return checkpoint.load(name.module() + ".weight", scope);
        }
        try (var step = TensorScope.open()) {
            return scope.call("transposed_copy", checkpoint.load(name.module() + ".weight", step));
        }
    }

    private Linear.Masked masked(
            LinearName name, LinearForm.Masked form, @Nullable Value bias, TensorScope scope) {
        Value mask = checkpoint.load(name.module() + ".weight_mask", scope);
        long kept = scope.call("count_kept", mask, name.inFeatures()).integer();
        if (kept != form.kept()) {
            throw LitheException.badInput(
                    "%s: the mask of '%s' keeps %d weights, and %d are stored",
                    checkpoint.folder(), name.module(), kept, form.kept());
        }
        return new Linear.Masked(
                mask,
                checkpoint.load(name.module() + ".weight_values", scope),
                scope.tensor(new long[] {name.outFeatures(), name.inFeatures()}, 2),
                bias,
                form);
    }

    private Linear.Codebook.@Nullable Scales scales(
            LinearForm.Codebook form, String scale, TensorScope scope) {
        if (form.groupSize() == 0) {
            return null;
        }
        return form.quantizedScales()
                ? new Linear.Codebook.Scales(
                        finite(scale, scope),
                        finite(scale + "_block", scope),
                        finite(scale + "_mean", scope))
                : new Linear.Codebook.Scales(finite(scale, scope), null, null);
    }

    /// Checks every tensor that `spec` needs, embedding and norms included.
    public void checkAll(ModelSpec spec) {
        for (Part part : Architecture.parts(spec)) {
            part.norms()
                    .forEach((norm, name) ->
                            NormScales.tensors(spec, name)
                                    .forEach(tensor -> expectFloat(tensor, norm.width(spec))));
            part.linears().forEach(this::form);
        }
    }
}
