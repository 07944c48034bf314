package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Linears as GPTQ's and AWQ's tools store them, against weights worked out plainly.
class PackedAlongInputsTest {
    private static final String MODULE = "model.layers.1.self_attn.q_proj";
    private static final int SIZE = 64;

    @TempDir private Path temporary;

    private Path folder(Consumer<ObjectNode> quantization, Map<String, RawTensor> parts)
            throws IOException {
        TinyModel model = TinyModel.of("llama").width(SIZE, 96).heads(4, 2, 16);
        ObjectNode config = model.config();
        quantization.accept(config.putObject("quantization_config"));
        Map<String, RawTensor> tensors = new LinkedHashMap<>(model.tensors());
        tensors.remove(MODULE + ".weight");
        parts.forEach((suffix, tensor) -> tensors.put(MODULE + suffix, tensor));
        return model.write(temporary.resolve("model"), config, tensors);
    }

    /// @param form as which it is stored; empty for any
    private static void holds(Path folder, float[] expected, String form) {
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var scope = TensorScope.open()) {
            var reader = new LinearReader(checkpoint);
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            reader.checkAll(spec);
            for (LinearName name : Architecture.linears(spec)) {
                if (name.module().equals(MODULE)) {
                    assertThat(reader.form(name).label())
                            .matches(label -> form.isEmpty() || label.equals(form));
                    Linear linear = reader.read(name, scope);
                    assertThat(DenseWeights.of(linear, scope).floats()).isEqualTo(expected);
                }
            }
        }
    }

    private static Map<String, RawTensor> gptq(CodesOfLinear codes, int less) {
        Map<String, RawTensor> parts = new LinkedHashMap<>();
        parts.put(".qweight", CodesOfLinear.turned(CodesOfLinear.stream(codes.bits(), codes.u())));
        int[][] zeros = CodesOfLinear.turned(CodesOfLinear.plus(codes.z(), -less));
        parts.put(".qzeros", CodesOfLinear.stream(codes.bits(), zeros));
        parts.put(".scales", codes.turnedScales(DType.F16));
        parts.put(".g_idx", CodesOfLinear.list(codes.group()));
        return parts;
    }

    @ParameterizedTest
    @CsvSource({
        "4, 32, true, gptq, int4 group 32",
        "4, 16, false, gptq, 'int4 group 16, zero points'",
        "4, 16, false, gptq_v2, 'int4 group 16, zero points'",
        "3, 32, false, gptq, 'int3 group 32, zero points'",
        "2, 32, false, gptq, 'int2 group 32, zero points'",
        "8, 64, true, gptq, int8 per channel"
    })
    void gptqInOrder(int bits, int groupSize, boolean sym, String format, String form)
            throws IOException {
        var codes = CodesOfLinear.random(bits, SIZE, SIZE, groupSize, sym);
        Path folder =
                folder(
                        node ->
                                node.put("quant_method", "gptq")
                                        .put("bits", bits)
                                        .put("group_size", groupSize == SIZE ? -1 : groupSize)
                                        .put("sym", sym)
                                        .put("desc_act", false)
                                        .put("checkpoint_format", format),
                        gptq(codes, format.equals("gptq") ? 1 : 0));
        holds(folder, codes.weights(), form);
    }

    private static Consumer<ObjectNode> ordered(boolean order) {
        return node ->
                node.put("quant_method", "gptq")
                        .put("bits", 4)
                        .put("group_size", 16)
                        .put("sym", false)
                        .put("desc_act", order);
    }

    @Test
    void gptqByActivation() throws IOException {
        var codes = CodesOfLinear.random(4, SIZE, SIZE, 16, false).shuffled();
        holds(folder(ordered(true), gptq(codes, 1)), codes.weights(), "float32");
        refused(folder(ordered(false), gptq(codes, 1)), "but desc_act says that they are in order");
    }

    @Test
    void whatIsNotAsItSaysIsRefused() throws IOException {
        var codes = CodesOfLinear.random(4, SIZE, SIZE, 16, false);
        refused(
                folder(ordered(false).andThen(node -> node.put("sym", true)), gptq(codes, 1)),
                "has zero points other than 8");
        refused(
                folder(ordered(false).andThen(node -> node.put("bits", 5)), gptq(codes, 1)),
                "has bits 5 and group_size 16");
        refused(
                folder(ordered(false).andThen(node -> node.put("group_size", 24)), gptq(codes, 1)),
                "no multiple of its group size 24");
        refused(
                folder(
                        ordered(false)
                                .andThen(node ->
                                        node.putObject("dynamic")
                                                .putObject("+:(.*.*.*.*.*.*)*\\1!")
                                                .put("bits", 4)),
                        gptq(codes, 1)),
                "simplify it");
        refused(
                folder(
                        ordered(false).andThen(node -> node.put("checkpoint_format", "marlin")),
                        gptq(codes, 1)),
                "checkpoint_format 'marlin'");
        Map<String, RawTensor> parts = gptq(codes, 1);
        parts.put(".qzeros", CodesOfLinear.words(new int[4][9]));
        refused(
                folder(ordered(false), parts),
                "qzeros' is I32 of shape [4, 9], expected I32 of [4, 8]");
        parts.remove(".qzeros");
        refused(folder(ordered(false), parts), "qzeros' is missing");
    }

    private static void refused(Path folder, String reason) {
        assertThatThrownBy(() -> holds(folder, new float[0], ""))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
    }

    /// Nibble i of a word is output [0, 2, 4, 6, 1, 3, 5, 7] of its eight.
    private static int[][] awqWords(int[][] rows) {
        int[] order = {0, 2, 4, 6, 1, 3, 5, 7};
        int[][] words = new int[rows.length][rows[0].length / 8];
        for (int i = 0; i < rows.length; i++) {
            for (int j = 0; j < rows[i].length; j++) {
                words[i][j / 8] |= rows[i][j / 8 * 8 + order[j % 8]] << j % 8 * 4;
            }
        }
        return words;
    }

    @Test
    void awq() throws IOException {
        var codes = CodesOfLinear.random(4, SIZE, SIZE, 16, false);
        Map<String, RawTensor> parts =
                Map.of(
                        ".qweight",
                        CodesOfLinear.words(awqWords(CodesOfLinear.turned(codes.u()))),
                        ".qzeros",
                        CodesOfLinear.words(awqWords(CodesOfLinear.turned(codes.z()))),
                        ".scales",
                        codes.turnedScales(DType.F16));
        Consumer<ObjectNode> quantization =
                node -> {
                    node.put("quant_method", "awq").put("bits", 4).put("group_size", 16);
                    node.put("zero_point", true).put("version", "gemm");
                };
        holds(folder(quantization, parts), codes.weights(), "int4 group 16, zero points");
        refused(
                folder(quantization.andThen(node -> node.put("version", "gemv")), parts),
                "AWQ of version 'gemv' with 4 bits");
    }
}
