package dev.lithe.model;

import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A linear layer's parameters in one of the forms that Lithe stores. Techniques turn one form into
/// another, the forward pass runs it (`linear.py`), and the writer stores [#tensors].
///
/// Shapes: N output features, K input features, g weights per group.
public sealed interface Linear {
    /// What it is, without its numbers.
    LinearForm form();

    /// Added to the output, (N), or null.
    @Nullable Value bias();

    /// The tensors that store it, by the suffix of their name on disk (`weight`, `weight_scale`,
    /// ...).
    Map<String, Value> tensors();

    /// Weights as they are: `y = x Wᵀ`.
    ///
    /// @param weight (N, K) in a float type
    record Dense(Value weight, @Nullable Value bias, LinearForm.Dense form) implements Linear {
        @Override
        public Map<String, Value> tensors() {
            return withBias(bias, "weight", weight);
        }
    }

    /// Eight-bit weights, one scale per output; where the form says so, the input is quantized per
    /// token when it runs (W8A8). On disk: compressed-tensors `int-quantized`.
    ///
    /// @param weight (N, K) int8
    /// @param scale (N, 1)
    record Int8(Value weight, Value scale, @Nullable Value bias, LinearForm.Int8 form)
            implements Linear {
        @Override
        public Map<String, Value> tensors() {
            return withBias(bias, "weight", weight, "weight_scale", scale);
        }
    }

    /// E4M3 floats, `w = weight · scale`; where the form says so, the input is rounded to such
    /// floats per token when it runs. On disk: compressed-tensors `float-quantized`.
    ///
    /// @param weight (N, K) float8
    /// @param scale (N, 1), or (1) for the whole tensor
    record Float8(Value weight, Value scale, @Nullable Value bias, LinearForm.Float8 form)
            implements Linear {
        @Override
        public Map<String, Value> tensors() {
            return withBias(bias, "weight", weight, "weight_scale", scale);
        }
    }

    /// Weights of which most are 0 and left out. On disk: a format of our own.
    ///
    /// @param mask (N, ceil(K / 32)) int32, a little-endian bit stream per row; 1 where a weight is
    ///   stored
    /// @param values those weights, row by row
    /// @param shape (2) int64, holding N and K
    record Masked(
            Value mask, Value values, Value shape, @Nullable Value bias, LinearForm.Masked form)
            implements Linear {
        @Override
        public Map<String, Value> tensors() {
            return withBias(
                    bias, "weight_mask", mask, "weight_values", values, "weight_shape", shape);
        }
    }

    /// Indices into a table of 2^b numbers: `w = table[index] s`, with a scale per group of inputs
    /// or none. On disk: a format of our own.
    ///
    /// @param indices (N, ceil(K b / 32)) int32, a little-endian bit stream per row
    /// @param table (1, 2^b), or (N, 2^b) with one per output
    /// @param scales null without groups
    /// @param shape (2) int64, holding N and K
    record Codebook(
            Value indices,
            Value table,
            @Nullable Scales scales,
            Value shape,
            @Nullable Value bias,
            LinearForm.Codebook form)
            implements Linear {
        /// The scales of a codebook's groups: `s = values`, or where they are quantized `s = mean +
        /// values · block`.
        ///
        /// @param values (N, K / g), floats or int8
        /// @param block (ceil(N K / g / 256)) float32, one per 256 values row by row; null for
        ///   floats
        /// @param mean (1) float32; null for floats
        public record Scales(Value values, @Nullable Value block, @Nullable Value mean) {
            /// The same scales, owned by `scope` too.
            Scales kept(TensorScope scope) {
                return new Scales(
                        scope.keep(values),
                        block == null ? null : scope.keep(block),
                        mean == null ? null : scope.keep(mean));
            }

            /// As floats, (N, K / g).
            public Value read(TensorScope into) {
                try (var step = TensorScope.open()) {
                    return into.call(
                            "group_scales",
                            values,
                            block == null ? step.none() : block,
                            mean == null ? step.none() : mean);
                }
            }
        }

        @Override
        public Map<String, Value> tensors() {
            return withBias(
                    bias,
                    "weight_indices",
                    indices,
                    "weight_table",
                    table,
                    "weight_scale",
                    scales == null ? null : scales.values(),
                    "weight_scale_block",
                    scales == null ? null : scales.block(),
                    "weight_scale_mean",
                    scales == null ? null : scales.mean(),
                    "weight_shape",
                    shape);
        }
    }

    /// Integers of 2 to 8 bits with one scale per group of inputs: `w = (q - z) s`. On disk:
    /// compressed-tensors `pack-quantized`; with fractional zero points, which it does not have, a
    /// format of our own that differs in `zero` alone.
    ///
    /// @param packed (N, ceil(K b / 32)) int32, the unsigned codes q + 2^(b-1) as a little-endian
    ///   bit stream per row
    /// @param scale (N, K / g)
    /// @param zero (ceil(N b / 32), K / g) int32, packed along the rows with the same offset; null
    ///   when symmetric; when fractional (N, K / g) uint8, (z + 2^(b-1)) 2^(8-b)
    /// @param shape (2) int64, holding N and K
    record Grouped(
            Value packed,
            Value scale,
            @Nullable Value zero,
            Value shape,
            @Nullable Value bias,
            LinearForm.Grouped form)
            implements Linear {
        @Override
        public Map<String, Value> tensors() {
            return withBias(
                    bias,
                    "weight_packed",
                    packed,
                    "weight_scale",
                    scale,
                    "weight_zero_point",
                    zero,
                    "weight_shape",
                    shape);
        }
    }

    /// Two linears one after the other, beside another one or not: `y = left(right(x)) + base(x)`.
    /// On disk each is a linear of its own, without bias.
    ///
    /// @param base (N, K), or null
    /// @param right (r, K)
    /// @param left (N, r)
    record LowRank(
            @Nullable Linear base,
            Linear right,
            Linear left,
            @Nullable Value bias,
            LinearForm.LowRank form)
            implements Linear {
        /// The form follows from those of its linears.
        public LowRank(
                @Nullable Linear base, Linear right, Linear left, @Nullable Value bias, long rank) {
            this(
                    base,
                    right,
                    left,
                    bias,
                    new LinearForm.LowRank(
                            base == null ? null : base.form(), right.form(), left.form(), rank));
        }

        @Override
        public Map<String, Value> tensors() {
            Map<String, Value> tensors = new LinkedHashMap<>();
            if (base != null) {
                base.tensors().forEach((suffix, tensor) -> tensors.put("base." + suffix, tensor));
            }
            right.tensors().forEach((suffix, tensor) -> tensors.put("right." + suffix, tensor));
            left.tensors().forEach((suffix, tensor) -> tensors.put("left." + suffix, tensor));
            if (bias != null) {
                tensors.put("bias", bias);
            }
            return tensors;
        }
    }

    /// The weights of another linear. On disk: nothing but its name.
    ///
    /// @param of the other linear, without its bias
    record Shared(Linear of, @Nullable Value bias, LinearForm.Shared form) implements Linear {
        @Override
        public Map<String, Value> tensors() {
            return withBias(bias);
        }
    }

    /// The same linear with its tensors owned by `scope` too.
    default Linear kept(TensorScope scope) {
        @Nullable Value bias = bias() == null ? null : scope.keep(bias());
        return switch (this) {
            case LowRank factors ->
                    new LowRank(
                            factors.base() == null ? null : factors.base().kept(scope),
                            factors.right().kept(scope),
                            factors.left().kept(scope),
                            bias,
                            factors.form());
            case Shared shared -> new Shared(shared.of().kept(scope), bias, shared.form());
            case Dense dense -> new Dense(scope.keep(dense.weight()), bias, dense.form());
            case Int8 int8 ->
                    new Int8(
                            scope.keep(int8.weight()), scope.keep(int8.scale()), bias, int8.form());
            case Float8 float8 ->
                    new Float8(
                            scope.keep(float8.weight()),
                            scope.keep(float8.scale()),
                            bias,
                            float8.form());
            case Codebook codebook ->
                    new Codebook(
                            scope.keep(codebook.indices()),
                            scope.keep(codebook.table()),
                            codebook.scales() == null ? null : codebook.scales().kept(scope),
                            scope.keep(codebook.shape()),
                            bias,
                            codebook.form());
            case Masked masked ->
                    new Masked(
                            scope.keep(masked.mask()),
                            scope.keep(masked.values()),
                            scope.keep(masked.shape()),
                            bias,
                            masked.form());
            case Grouped grouped ->
                    new Grouped(
                            scope.keep(grouped.packed()),
                            scope.keep(grouped.scale()),
                            grouped.zero() == null ? null : scope.keep(grouped.zero()),
                            scope.keep(grouped.shape()),
                            bias,
                            grouped.form());
        };
    }

    /// N.
    default int outFeatures() {
        return switch (this) {
            case Dense dense -> dense.weight().size(0);
            case Int8 int8 -> int8.weight().size(0);
            case Float8 float8 -> float8.weight().size(0);
            case Codebook codebook -> codebook.indices().size(0);
            case Masked masked -> masked.mask().size(0);
            case Grouped grouped -> grouped.packed().size(0);
            case LowRank factors -> factors.left().outFeatures();
            case Shared shared -> shared.of().outFeatures();
        };
    }

    /// The stored type of floats in this form: weights when dense, scales otherwise.
    default DType floatType() {
        return floatType(form());
    }

    /// The same of a form.
    static DType floatType(LinearForm stored) {
        return switch (stored) {
            case LinearForm.LowRank form -> floatType(form.left());
            case LinearForm.Shared form -> floatType(form.of());
            case LinearForm.Dense form -> form.dtype();
            case LinearForm.Int8 form -> form.scaleType();
            case LinearForm.Float8 form -> form.scaleType();
            case LinearForm.Codebook form -> form.tableType();
            case LinearForm.Masked form -> form.valueType();
            case LinearForm.Grouped form -> form.scaleType();
        };
    }

    private static Map<String, Value> withBias(
            @Nullable Value bias, @Nullable Object... namesAndTensors) {
        Map<String, Value> tensors = new LinkedHashMap<>();
        for (int i = 0; i < namesAndTensors.length; i += 2) {
            if (namesAndTensors[i + 1] instanceof Value tensor) {
                tensors.put(String.valueOf(namesAndTensors[i]), tensor);
            }
        }
        if (bias != null) {
            tensors.put("bias", bias);
        }
        return tensors;
    }
}
