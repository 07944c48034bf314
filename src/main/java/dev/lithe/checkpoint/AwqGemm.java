package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/// Linears as AutoAWQ's version `gemm` stores them: `w = (u - z) s` in 4 bits, for K inputs, N
/// outputs and groups of g.
///
/// | tensor | |
/// |---|---|
/// | `qweight` | int32 (K, N / 8), codes u packed along the outputs |
/// | `qzeros` | int32 (K / g, N / 8), zero points, the same |
/// | `scales` | float16 (K / g, N) |
///
/// Of each eight outputs a word holds 0, 2, 4, 6, 1, 3, 5, 7, lowest bits first. Source:
/// casper-hansen/AutoAWQ, `utils/packing_utils.py`.
final class AwqGemm {
    private static final String CODES = ".qweight";
    private static final int BITS = 4;
    private static final int IN_WORD = Integer.SIZE / BITS;

    private AwqGemm() {}

    /// The folder as Lithe stores it.
    ///
    /// @param quantization its `quantization_config`
    static ForeignLinears read(
            Path folder, JsonNode config, JsonNode quantization, Map<String, TensorEntry> entries) {
        String where = folder + "/config.json";
        String version = quantization.path("version").asText("gemm");
        int bits = quantization.path("bits").asInt(BITS);
        if (!version.equalsIgnoreCase("gemm") || bits != BITS) {
            throw LitheException.badInput(
                    "%s: AWQ of version '%s' with %d bits; Lithe reads gemm with 4",
                    where, version, bits);
        }
        int groupSize = quantization.path("group_size").asInt();
        if (groupSize == 0 || groupSize < -1) {
            throw LitheException.badInput(
                    "%s: group_size is %s; it must be -1 or a count",
                    where, quantization.path("group_size"));
        }
        var linears = new ForeignLinears(folder, config, entries);
        for (String tensor : entries.keySet()) {
            if (tensor.endsWith(CODES)) {
                String module = tensor.substring(0, tensor.length() - CODES.length());
                add(linears, module, groupSize, where);
            }
        }
        return linears;
    }

    private static void add(ForeignLinears linears, String module, int groupSize, String where) {
        TensorEntry codes = linears.matrix(module + CODES, DType.I32);
        long k = codes.shape().get(0);
        long words = codes.shape().get(1);
        long n = words * IN_WORD;
        long g = groupSize == -1 ? k : groupSize;
        if (k % g != 0) {
            throw LitheException.badInput(
                    "%s: '%s' has %d inputs, no multiple of its group size %d",
                    where, module, k, g);
        }
        String scaleName = module + ".scales";
        TensorEntry zeros = linears.entry(module + ".qzeros", DType.I32, k / g, words);
        TensorEntry scales = linears.entry(scaleName, linears.entry(scaleName).dtype(), k / g, n);
        linears.hide(module, CODES, ".qzeros", ".scales");
        linears.scheme(module, new Scheme(BITS, false, groupSize == -1 ? 0 : groupSize, false));
        linears.view(
                module + ".weight_packed",
                codes,
                DType.I32,
                List.of(n, Math.ceilDiv(k * BITS, Integer.SIZE)),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        var unpacked = step.call("awq_codes", stored.load(codes, step));
                        return into.call("pack", unpacked, BITS);
                    }
                });
        linears.view(
                module + ".weight_zero_point",
                zeros,
                DType.I32,
                List.of(words, k / g),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        var unpacked = step.call("awq_codes", stored.load(zeros, step));
                        var packed = step.call("pack", step.call("turned", unpacked), BITS);
                        return into.call("turned", packed);
                    }
                });
        linears.view(
                module + ".weight_scale",
                scales,
                scales.dtype(),
                List.of(n, k / g),
                (stored, into) -> {
                    try (var step = TensorScope.open()) {
                        return into.call("turned", stored.load(scales, step));
                    }
                });
    }
}
