package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/// Linears as GPTQ's tools store them: `w = (u - z) s`, for K inputs, N outputs and groups of g.
///
/// | tensor | |
/// |---|---|
/// | `qweight` | int32 (K b / 32, N), codes u packed along the inputs, lowest bits first |
/// | `qzeros` | int32 (K / g, N b / 32), zero points packed along the outputs; less 1 where `checkpoint_format` is `gptq` |
/// | `scales` | float16 (K / g, N) |
/// | `g_idx` | int32 (K), the group of each input |
///
/// So Lithe's own packed integers, turned; where `desc_act` gives columns an order of their own,
/// floats. Source: ModelCloud/GPTQModel, `nn_modules/qlinear`.
final class Gptq {
    private static final String CODES = ".qweight";
    private static final String ZEROS = ".qzeros";
    private static final String SCALES = ".scales";
    private static final String GROUPS = ".g_idx";
    private static final List<Integer> BITS = List.of(2, 3, 4, 8);

    private final ForeignLinears linears;
    private final JsonNode quantization;
    private final String where;
    private final boolean lessOne;

    private Gptq(ForeignLinears linears, JsonNode quantization, String where) {
        this.linears = linears;
        this.quantization = quantization;
        this.where = where;
        String format =
                quantization
                        .path("checkpoint_format")
                        .asText(quantization.path("format").asText("gptq"));
        if (!format.equals("gptq") && !format.equals("gptq_v2")) {
            throw LitheException.badInput(
                    "%s: checkpoint_format '%s' is unknown; Lithe reads gptq and gptq_v2",
                    where, format);
        }
        this.lessOne = format.equals("gptq");
    }

    /// The folder as Lithe stores it.
    ///
    /// @param quantization its `quantization_config`
    static ForeignLinears read(
            Path folder, JsonNode config, JsonNode quantization, Map<String, TensorEntry> entries) {
        var linears = new ForeignLinears(folder, config, entries);
        var reader = new Gptq(linears, quantization, folder + "/config.json");
        for (String tensor : entries.keySet()) {
            if (tensor.endsWith(CODES)) {
                reader.add(tensor.substring(0, tensor.length() - CODES.length()));
            }
        }
        return linears;
    }

    /// A setting of `module`: `dynamic` may give it by a pattern of its name.
    private JsonNode setting(String module, String key) {
        for (Map.Entry<String, JsonNode> each : quantization.path("dynamic").properties()) {
            String pattern = "re:" + each.getKey().replaceFirst("^\\+:", "");
            if (each.getValue().has(key) && ModulePattern.matches(pattern, module)) {
                return each.getValue().get(key);
            }
        }
        return quantization.path(key);
    }

    private void add(String module) {
        int bits = setting(module, "bits").asInt();
        int given = setting(module, "group_size").asInt();
        if (!BITS.contains(bits) || given == 0 || given < -1) {
            throw LitheException.badInput(
                    "%s: '%s' has bits %d and group_size %d; Lithe reads 2, 3, 4 or 8 bits, and -1"
                            + " or a count",
                    where, module, bits, given);
        }
        boolean symmetric = setting(module, "sym").asBoolean(true);
        boolean ordered = setting(module, "desc_act").asBoolean(false) && given > 0;
        TensorEntry codes = linears.matrix(module + CODES, DType.I32);
        long n = codes.shape().get(1);
        long k = codes.shape().get(0) * Integer.SIZE / bits;
        long g = given == -1 ? k : given;
        if (k * bits != codes.shape().get(0) * Integer.SIZE || k % g != 0 && !ordered) {
            throw LitheException.badInput(
                    "%s: '%s' has %d inputs, no multiple of its group size %d",
                    where, module, k, g);
        }
        long groups = Math.ceilDiv(k, g);
        long zeroWords = Math.ceilDiv(n * bits, Integer.SIZE);
        TensorEntry zeros = linears.entry(module + ZEROS, DType.I32, groups, zeroWords);
        TensorEntry scales =
                linears.matrix(module + SCALES, linears.entry(module + SCALES).dtype());
        linears.entry(module + SCALES, scales.dtype(), groups, n);
        linears.hide(module, CODES, ZEROS, SCALES, GROUPS);
        if (ordered) {
            floats(module, bits, codes, zeros, scales);
            return;
        }
        linears.scheme(module, new Scheme(bits, symmetric, given == -1 ? 0 : given, false));
        linears.view(
                module + ".weight_packed",
                codes,
                DType.I32,
                List.of(n, codes.shape().get(0)),
                (stored, into) -> {
                    requireGroups(module, g, stored);
                    return turned(stored, codes, into);
                });
        linears.view(
                module + ".weight_scale",
                scales,
                scales.dtype(),
                List.of(n, groups),
                (stored, into) -> {
                    if (symmetric) {
                        requireMiddle(module, bits, zeros, n, stored);
                    }
                    return turned(stored, scales, into);
                });
        if (!symmetric) {
            linears.view(
                    module + ".weight_zero_point",
                    zeros,
                    DType.I32,
                    List.of(zeroWords, groups),
                    (stored, into) -> zeros(stored, zeros, bits, into));
        }
    }

    private static Value turned(TensorView.Stored stored, TensorEntry entry, TensorScope into) {
        try (var step = TensorScope.open()) {
            return into.call("turned", stored.load(entry, step));
        }
    }

    /// Packed along the outputs, (N b / 32, G).
    private Value zeros(TensorView.Stored stored, TensorEntry zeros, int bits, TensorScope into) {
        try (var step = TensorScope.open()) {
            Value words = stored.load(zeros, step);
            return into.call("turned", lessOne ? step.call("add_to_codes", words, bits, 1) : words);
        }
    }

    /// Refuses groups that are not one behind the other.
    private void requireGroups(String module, long g, TensorView.Stored stored) {
        if (!linears.has(module + GROUPS)) {
            return;
        }
        try (var step = TensorScope.open()) {
            long[] groups = stored.load(linears.entry(module + GROUPS), step).longs();
            for (int column = 0; column < groups.length; column++) {
                if (groups[column] != column / g) {
                    throw LitheException.badInput(
                            "%s: '%s' has input %d in group %d, but desc_act says that they are in"
                                    + " order",
                            where, module, column, groups[column]);
                }
            }
        }
    }

    /// Refuses zero points that a symmetric form does not have.
    private void requireMiddle(
            String module, int bits, TensorEntry zeros, long n, TensorView.Stored stored) {
        try (var step = TensorScope.open()) {
            Value found = zeros(stored, zeros, bits, step);
            if (step.call("count_zero_points", found, bits, n).integer() > 0) {
                throw LitheException.badInput(
                        "%s: sym is true, but '%s' has zero points other than %d; set sym to false",
                        where, module, 1 << bits - 1);
            }
        }
    }

    private void floats(
            String module, int bits, TensorEntry codes, TensorEntry zeros, TensorEntry scales) {
        long k = codes.shape().get(0) * Integer.SIZE / bits;
        TensorEntry order = linears.entry(module + GROUPS, DType.I32, k);
        linears.scheme(module, null);
        linears.view(
                module + ".weight",
                codes,
                linears.floats(),
                List.of(codes.shape().get(1), k),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        Value groups = stored.load(order, step);
                        linears.requireGroups(order.name(), groups, scales.shape().get(0));
                        return into.call(
                                "expand_ordered",
                                turned(stored, codes, step),
                                turned(stored, scales, step),
                                zeros(stored, zeros, bits, step),
                                groups,
                                bits,
                                linears.floats().code());
                    }
                });
    }
}
