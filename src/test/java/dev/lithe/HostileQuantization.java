package dev.lithe;

import static dev.lithe.Damage.config;
import static dev.lithe.Damage.remove;
import static dev.lithe.Damage.row;
import static dev.lithe.ModelFolder.Q_PROJ;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.ModelFolder.Kind;
import dev.lithe.tensor.DType;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/// Quantization settings and packed tensors that do not fit together.
final class HostileQuantization {
    private HostileQuantization() {}

    static Stream<Arguments> quantization() {
        return Stream.of(
                packed("unknown method", node -> node.put("quant_method", "aqlm"), "'aqlm'"),
                packed("no method", node -> node.remove("quant_method"), "'none'"),
                packed("no groups", node -> node.remove("config_groups"), "config_groups"),
                packed("groups as text", node -> node.put("config_groups", "all"), "config_groups"),
                packed("ignored", node -> node.putArray("ignore").add(Q_PROJ), "says nothing"),
                packed("a bad pattern", node -> node.putArray("ignore").add("re:(["), "pattern"),
                packed(
                        "a pattern without end",
                        node -> node.putArray("ignore").add("re:(.*)*(.*)*(.*)*(.*)*!"),
                        "pattern"),
                packed(
                        "a pattern too long",
                        node -> node.putArray("ignore").add("re:" + "(".repeat(100_000)),
                        "pattern"),
                row(
                        "settings as text",
                        Kind.PACKED,
                        config(node -> node.put("quantization_config", "int4")),
                        "quant_method"),
                scheme("bits 0", node -> node.put("num_bits", 0), "0 bits"),
                scheme("bits 33", node -> node.put("num_bits", 33), "33 bits"),
                scheme("bits 4.5", node -> node.put("num_bits", 4.5), "num_bits"),
                scheme("float type", node -> node.put("type", "float"), "type float"),
                scheme("no strategy", node -> node.remove("strategy"), "strategy ''"),
                scheme("unknown strategy", node -> node.put("strategy", "block"), "'block'"),
                scheme("group_size 0", node -> node.put("group_size", 0), "group_size 0"),
                scheme("group_size 1.5", node -> node.put("group_size", 1.5), "group_size"),
                scheme("group_size 24", node -> node.put("group_size", 24), "group size 24"),
                scheme("a column order", node -> node.put("actorder", "group"), "actorder 'group'"),
                scheme("symmetric as text", node -> node.put("symmetric", "no"), "symmetric"),
                scheme("zero points unexpected", node -> node.put("symmetric", true), "zero"),
                packedTensor("codes of another width", ".weight_packed", "I32", 4, 32, 5),
                packedTensor("codes in bytes", ".weight_packed", "U8", 1, 32, 4),
                packedTensor("scales of another width", ".weight_scale", "F32", 4, 32, 2),
                packedTensor("scales of integers", ".weight_scale", "I32", 4, 32, 1),
                packedTensor("zero points unpacked", ".weight_zero_point", "I32", 4, 32, 1),
                notFinite("a scale that is NaN", Kind.PACKED, Float.NaN),
                notFinite("a scale that is infinite", Kind.INT8, Float.POSITIVE_INFINITY),
                row(
                        "packed without scales",
                        Kind.PACKED,
                        remove(Q_PROJ + ".weight_scale"),
                        "weight_scale' is missing"),
                row(
                        "8 bits with a zero point",
                        Kind.INT8,
                        folder ->
                                folder.tensors(all ->
                                        all.put(
                                                Q_PROJ + ".weight_zero_point",
                                                ModelFolder.zeros("I8", 1, 32, 1))),
                        "zero"),
                row(
                        "8 bits per tensor",
                        Kind.INT8,
                        folder -> folder.reshape(Q_PROJ + ".weight_scale", 1),
                        "weight_scale' has shape [1]"),
                row(
                        "8 bits unexplained",
                        Kind.INT8,
                        config(node -> node.remove("quantization_config")),
                        "says nothing"),
                row(
                        "float8 unexplained",
                        Kind.FLOAT8,
                        config(node -> node.remove("quantization_config")),
                        "says nothing"),
                row(
                        "float8 called integers",
                        Kind.FLOAT8,
                        folder -> folder.scheme(node -> node.put("type", "int")),
                        "stored as float-quantized"),
                row(
                        "float8 per group",
                        Kind.FLOAT8,
                        folder ->
                                folder.scheme(node ->
                                        node.put("strategy", "group").put("group_size", 16)),
                        "strategy 'group'"),
                row(
                        "float8 per tensor with a scale per row",
                        Kind.FLOAT8,
                        folder -> folder.scheme(node -> node.put("strategy", "tensor")),
                        "weight_scale' has shape [32, 1]"),
                codebook("a table per nothing", ".weight_table", "F32", 4, 2, 16),
                codebook("a table of 15", ".weight_table", "F32", 4, 1, 15),
                codebook("a table of integers", ".weight_table", "I32", 4, 1, 16),
                codebook("indices of another width", ".weight_indices", "I32", 4, 32, 5),
                codebook("scales of another width", ".weight_scale", "I8", 1, 32, 1),
                codebook("scales in bytes", ".weight_scale", "U8", 1, 32, 2),
                codebook("blocks too many", ".weight_scale_block", "F32", 4, 2),
                codebook("two means", ".weight_scale_mean", "F32", 4, 2),
                row(
                        "a codebook without a mean",
                        Kind.CODEBOOK,
                        remove(Q_PROJ + ".weight_scale_mean"),
                        "weight_scale_mean' is missing"),
                row(
                        "a codebook in a format of others",
                        Kind.CODEBOOK,
                        folder -> folder.quantization(node -> node.put("format", "nf4")),
                        "in format 'nf4'"),
                row(
                        "a codebook called integers",
                        Kind.CODEBOOK,
                        folder -> folder.scheme(node -> node.put("type", "int")),
                        "stored as lithe-codebook"),
                row(
                        "a codebook of 2^40",
                        Kind.CODEBOOK,
                        folder -> folder.scheme(node -> node.put("num_bits", 40)),
                        "40 bits"),
                packed(
                        "packed zero points called fractional",
                        node -> node.put("format", "lithe-fractional-zeros"),
                        "weight_zero_point"));
    }

    private static Arguments packed(String name, Consumer<ObjectNode> change, String fragment) {
        return row(name, Kind.PACKED, folder -> folder.quantization(change), fragment);
    }

    private static Arguments codebook(
            String name, String suffix, String dtype, int width, long... shape) {
        return row(
                name,
                Kind.CODEBOOK,
                folder ->
                        folder.tensors(all ->
                                all.put(Q_PROJ + suffix, ModelFolder.zeros(dtype, width, shape))),
                Q_PROJ + suffix);
    }

    private static Arguments scheme(String name, Consumer<ObjectNode> change, String fragment) {
        return row(name, Kind.PACKED, folder -> folder.scheme(change), fragment);
    }

    private static Arguments packedTensor(
            String name, String suffix, String dtype, int width, long... shape) {
        return row(
                name,
                Kind.PACKED,
                folder ->
                        folder.tensors(all ->
                                all.put(Q_PROJ + suffix, ModelFolder.zeros(dtype, width, shape))),
                Q_PROJ + suffix);
    }

    private static Arguments notFinite(String name, Kind kind, float value) {
        return row(
                name,
                kind,
                folder ->
                        folder.tensors(all -> {
                            float[] scales = new float[32];
                            Arrays.fill(scales, 1);
                            scales[7] = value;
                            all.put(
                                    Q_PROJ + ".weight_scale",
                                    RawTensor.of(DType.F32, scales, 32, 1));
                        }),
                Q_PROJ + ".weight_scale' holds NaN or infinite");
    }
}
