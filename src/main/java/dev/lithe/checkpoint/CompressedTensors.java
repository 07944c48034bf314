package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.QuantizationMetadata.Format;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What compressed-tensors stores in ways that Lithe does not, read as what Lithe has for it:
///
/// | there | here |
/// |---|---|
/// | integers that lie one in a byte (`naive-quantized`, `int-quantized`) in groups, of fewer than 8 bits, or with zero points | packed integers |
/// | one scale for all of a tensor's integers | the same scale for every row |
/// | zero points that lie one in a byte | packed ones |
/// | 8-bit floats with a scale per block; columns in an order of their own (`weight_g_idx`) | floats of the type that the model declares, float16 for bfloat16 |
///
/// Where integers are packed, their inputs stay floats. Source: vllm-project/compressed-tensors.
final class CompressedTensors {
    private static final String SCALE = ".weight_scale";
    private static final String ZERO = ".weight_zero_point";
    private static final String ORDER = ".weight_g_idx";

    private final ForeignLinears linears;
    private final JsonNode quantization;
    private final String where;

    private CompressedTensors(ForeignLinears linears, JsonNode quantization, String where) {
        this.linears = linears;
        this.quantization = quantization;
        this.where = where;
    }

    /// The folder as Lithe stores it; null where it does already.
    static @Nullable ForeignLinears read(
            Path folder, JsonNode config, Map<String, TensorEntry> entries) {
        JsonNode quantization = config.path("quantization_config");
        JsonNode sparsity = quantization.path("sparsity_config");
        String sparse = sparsity.path("format").asText("dense");
        if (sparsity.isObject() && !sparse.equals("dense")) {
            throw LitheException.badInput(
                    "%s/config.json: sparsity_config '%s' leaves zeros out in a way that Lithe does"
                            + " not read; save the model with its zeros in place",
                    folder, sparse);
        }
        var foreign = new ArrayList<String>();
        for (String tensor : entries.keySet()) {
            if (tensor.endsWith(SCALE)) {
                foreign.add(tensor.substring(0, tensor.length() - SCALE.length()));
            }
        }
        var linears = new ForeignLinears(folder, config, entries);
        var reader = new CompressedTensors(linears, quantization, folder + "/config.json");
        if (foreign.stream().noneMatch(reader::isForeign)) {
            return null;
        }
        foreign.forEach(reader::add);
        return linears;
    }

    private @Nullable JsonNode weights(String module) {
        JsonNode group = QuantizationMetadata.groupOf(quantization, module);
        return group == null ? null : group.path("weights");
    }

    private static String strategy(JsonNode weights) {
        return weights.path("strategy").asText("none");
    }

    private static boolean isFloat(JsonNode weights) {
        return weights.path("type").asText("int").equals("float");
    }

    private boolean isForeign(String module) {
        JsonNode weights = weights(module);
        if (weights == null) {
            return false;
        }
        String type = weights.path("type").asText("int");
        if (!type.equals("int") && !type.equals("float")) {
            return false;
        }
        String strategy = strategy(weights);
        if (type.equals("float")) {
            return strategy.equals("block") && linears.has(module + ".weight");
        }
        if (linears.has(module + ORDER)) {
            return true;
        }
        boolean bytes = linears.has(module + ".weight");
        boolean zeros = linears.has(module + ZERO);
        boolean bytesOfZeros = zeros && linears.entry(module + ZERO).dtype() == DType.I8;
        boolean eight = weights.path("num_bits").asInt() == Byte.SIZE;
        return strategy.equals("tensor")
                || bytesOfZeros
                || bytes && (strategy.equals("group") || zeros || !eight);
    }

    private void add(String module) {
        JsonNode group = QuantizationMetadata.groupOf(quantization, module);
        JsonNode weights = weights(module);
        if (group == null || weights == null) {
            return; // readers find no scheme for it, and say so
        }
        if (isFloat(weights)) {
            addFloats(module, weights, group);
        } else {
            addIntegers(module, weights, group);
        }
    }

    private void addFloats(String module, JsonNode weights, JsonNode group) {
        String strategy = strategy(weights);
        boolean dynamic = group.path("input_activations").isObject();
        if (strategy.equals("channel") || strategy.equals("tensor")) {
            linears.scheme(module, Scheme.float8(strategy.equals("tensor"), dynamic));
            return;
        }
        TensorEntry weight = linears.matrix(module + ".weight", DType.F8_E4M3);
        TensorEntry scale = linears.entry(module + SCALE);
        long n = weight.shape().get(0);
        long k = weight.shape().get(1);
        JsonNode block = weights.path("block_structure");
        long rows = Math.min(n, block.path(0).asLong());
        long columns = Math.min(k, block.path(1).asLong());
        if (rows < 1
                || columns < 1
                || !scale.dtype().isFloat()
                || !scale.shape()
                        .equals(List.of(Math.ceilDiv(n, rows), Math.ceilDiv(k, columns)))) {
            throw LitheException.badInput(
                    "%s: '%s' has %s scales for %d times %d weights in blocks of %d times %d",
                    where, module, scale.shape(), n, k, rows, columns);
        }
        linears.hide(module, SCALE, ".weight");
        linears.scheme(module, null);
        linears.view(
                module + ".weight",
                weight,
                linears.floats(),
                weight.shape(),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        return into.call(
                                "expand_blocks",
                                stored.load(weight, step),
                                stored.load(scale, step),
                                rows,
                                columns,
                                linears.floats().code());
                    }
                });
    }

    private void addIntegers(String module, JsonNode weights, JsonNode group) {
        String strategy = strategy(weights);
        int bits = weights.path("num_bits").asInt();
        boolean symmetric = weights.path("symmetric").asBoolean(true);
        boolean perTensor = strategy.equals("tensor");
        long groupSize = strategy.equals("group") ? weights.path("group_size").asLong() : 0;
        if (bits < 2 || bits > Byte.SIZE || groupSize < 0 || groupSize > Integer.MAX_VALUE) {
            throw LitheException.badInput(
                    "%s: '%s' has %d bits in groups of %d; Lithe reads 2 to 8",
                    where, module, bits, groupSize);
        }
        boolean bytes = linears.has(module + ".weight");
        TensorEntry codes =
                bytes
                        ? linears.matrix(module + ".weight", DType.I8)
                        : linears.matrix(module + ".weight_packed", DType.I32);
        long n = codes.shape().getFirst();
        boolean dynamic = group.path("input_activations").isObject();
        if (perTensor) {
            linears.scaleOfRows(module, n);
        }
        if (bytes && bits == Byte.SIZE && symmetric && groupSize == 0) {
            linears.scheme(module, Scheme.int8(dynamic));
            return;
        }
        var scheme = new Scheme(Format.PACK_QUANTIZED, bits, symmetric, (int) groupSize, false);
        linears.scheme(module, scheme);
        if (bytes) {
            linears.hide(module, ".weight");
            linears.view(
                    module + ".weight_packed",
                    codes,
                    DType.I32,
                    List.of(n, Math.ceilDiv(codes.shape().get(1) * bits, Integer.SIZE)),
                    (stored, into) -> {
                        try (var step = TensorScope.open()) {
                            return into.call("pack_codes", stored.load(codes, step), bits);
                        }
                    });
        }
        if (symmetric) {
            linears.hide(module, ZERO);
        } else if (linears.entry(module + ZERO).dtype() == DType.I8) {
            packZeros(module, n, bits, perTensor);
        }
        if (linears.has(module + ORDER)) {
            expand(module, codes, n, bits);
        }
    }

    private void packZeros(String module, long n, int bits, boolean perTensor) {
        TensorEntry zero = linears.entry(module + ZERO);
        long groups = perTensor ? 1 : zero.elements() / n;
        if (!perTensor) {
            linears.entry(module + ZERO, DType.I8, n, groups);
        }
        linears.view(
                module + ZERO,
                zero,
                DType.I32,
                List.of(Math.ceilDiv(n * bits, Integer.SIZE), groups),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        var bytes = stored.load(zero, step);
                        var each = perTensor ? step.call("scale_for_rows", bytes, n) : bytes;
                        return into.call("pack_zero", each, bits);
                    }
                });
    }

    /// Columns that belong to groups in no order.
    private void expand(String module, TensorEntry packed, long n, int bits) {
        TensorEntry order = linears.entry(module + ORDER);
        TensorEntry scale = linears.matrix(module + SCALE, linears.entry(module + SCALE).dtype());
        TensorEntry zero = linears.has(module + ZERO) ? linears.entry(module + ZERO) : null;
        long k = order.elements();
        long words = Math.ceilDiv(k * bits, Integer.SIZE);
        linears.entry(module + ".weight_packed", DType.I32, n, words);
        linears.entry(module + ORDER, DType.I32, k);
        linears.hide(module, ".weight_packed", SCALE, ZERO, ORDER);
        linears.scheme(module, null);
        linears.view(
                module + ".weight",
                packed,
                linears.floats(),
                List.of(n, k),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        var groups = stored.load(order, step);
                        linears.requireGroups(order.name(), groups, scale.shape().getLast());
                        return into.call(
                                "expand_ordered",
                                stored.load(packed, step),
                                stored.load(scale, step),
                                zero == null ? step.none() : stored.load(zero, step),
                                groups,
                                bits,
                                linears.floats().code());
                    }
                });
    }
}
