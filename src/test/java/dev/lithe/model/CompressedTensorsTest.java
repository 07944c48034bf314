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
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// What compressed-tensors stores and Lithe does not, against weights worked out plainly.
class CompressedTensorsTest {
    private static final String MODULE = "model.layers.1.self_attn.q_proj";
    private static final int SIZE = 64;

    @TempDir private Path temporary;

    private static TinyModel model() {
        return TinyModel.of("llama").width(SIZE, 96).heads(4, 2, 16);
    }

    private Path folder(String format, Consumer<ObjectNode> weights, Map<String, RawTensor> parts)
            throws IOException {
        TinyModel model = model();
        ObjectNode config = model.config();
        ObjectNode quantization = config.putObject("quantization_config");
        quantization.put("quant_method", "compressed-tensors").put("format", format);
        quantization.putArray("ignore");
        ObjectNode group = quantization.putObject("config_groups").putObject("group_0");
        group.putArray("targets").add(MODULE);
        group.putNull("input_activations");
        weights.accept(group.putObject("weights").put("type", "int"));
        Map<String, RawTensor> tensors = new LinkedHashMap<>(model.tensors());
        tensors.remove(MODULE + ".weight");
        parts.forEach((suffix, tensor) -> tensors.put(MODULE + suffix, tensor));
        return model.write(temporary.resolve("model"), config, tensors);
    }

    private static void holds(Path folder, float[] expected, String form) {
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var scope = TensorScope.open()) {
            var reader = new LinearReader(checkpoint);
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            reader.checkAll(spec);
            for (LinearName name : Architecture.linears(spec)) {
                if (name.module().equals(MODULE)) {
                    assertThat(reader.form(name).label()).isEqualTo(form);
                    Linear linear = reader.read(name, scope);
                    assertThat(DenseWeights.of(linear, scope).floats()).isEqualTo(expected);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "4, true, int4 group 32",
        "4, false, 'int4 group 32, zero points'",
        "3, false, 'int3 group 32, zero points'",
        "8, false, 'int8 group 32, zero points'"
    })
    void codesThatLieOneInAByte(int bits, boolean symmetric, String form) throws IOException {
        var codes = CodesOfLinear.random(bits, SIZE, SIZE, 32, symmetric);
        int half = 1 << bits - 1;
        Map<String, RawTensor> parts = new LinkedHashMap<>();
        parts.put(".weight", CodesOfLinear.bytes(CodesOfLinear.plus(codes.u(), -half)));
        parts.put(".weight_scale", codes.scales(DType.F32));
        if (!symmetric) {
            parts.put(
                    ".weight_zero_point",
                    CodesOfLinear.bytes(CodesOfLinear.plus(codes.z(), -half)));
        }
        Path folder =
                folder(
                        "naive-quantized",
                        weights ->
                                weights.put("num_bits", bits)
                                        .put("symmetric", symmetric)
                                        .put("strategy", "group")
                                        .put("group_size", 32),
                        parts);
        holds(folder, codes.weights(), form);
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void columnsInAnOrderOfTheirOwn(boolean symmetric) throws IOException {
        var codes = CodesOfLinear.random(4, SIZE, SIZE, 16, symmetric).shuffled();
        Map<String, RawTensor> parts = new LinkedHashMap<>();
        parts.put(".weight_packed", CodesOfLinear.stream(4, codes.u()));
        parts.put(".weight_scale", codes.scales(DType.F32));
        parts.put(".weight_g_idx", CodesOfLinear.list(codes.group()));
        if (!symmetric) {
            var packed = CodesOfLinear.stream(4, CodesOfLinear.turned(codes.z()));
            parts.put(".weight_zero_point", CodesOfLinear.turned(packed));
        }
        Consumer<ObjectNode> weights =
                node ->
                        node.put("num_bits", 4)
                                .put("symmetric", symmetric)
                                .put("strategy", "group")
                                .put("group_size", 16)
                                .put("actorder", "group");
        holds(folder("pack-quantized", weights, parts), codes.weights(), "float32");
        int[] wrong = codes.group().clone();
        wrong[7] = 4;
        parts.put(".weight_g_idx", CodesOfLinear.list(wrong));
        Path folder = folder("pack-quantized", weights, parts);
        assertThatThrownBy(() -> holds(folder, codes.weights(), "float32"))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("weight_g_idx' names group 4, and there are 4");
    }

    @Test
    void oneScaleForAll() throws IOException {
        var codes = CodesOfLinear.random(8, SIZE, SIZE, SIZE, true);
        for (float[] scales : codes.s()) {
            scales[0] = 0.25f;
        }
        Map<String, RawTensor> parts =
                Map.of(
                        ".weight", CodesOfLinear.bytes(CodesOfLinear.plus(codes.u(), -128)),
                        ".weight_scale", RawTensor.of(DType.F32, new float[] {0.25f}, 1));
        Path folder =
                folder(
                        "int-quantized",
                        weights ->
                                weights.put("num_bits", 8)
                                        .put("symmetric", true)
                                        .put("strategy", "tensor"),
                        parts);
        holds(folder, codes.weights(), "int8 per channel, weights only");
    }

    @Test
    void floatsInBlocks() throws IOException {
        byte[] bytes = new byte[SIZE * SIZE];
        float[] scales = new float[4 * 2];
        float[] expected = new float[bytes.length];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = 0.5f + i;
        }
        for (int i = 0; i < bytes.length; i++) {
            int exponent = i % 13 + 1; // 1.0 is 7, and mantissa bits are 8ths
            int mantissa = i % 7;
            bytes[i] = (byte) ((i % 2 << 7) + exponent * 8 + mantissa);
            double number =
                    Math.pow(2, exponent - 7) * (1 + mantissa / 8.0) * (i % 2 == 0 ? 1 : -1);
            expected[i] = (float) number * scales[i / SIZE / 16 * 2 + i % SIZE / 32];
        }
        Consumer<ObjectNode> weights =
                node -> {
                    node.put("type", "float").put("num_bits", 8).put("strategy", "block");
                    node.putArray("block_structure").add(16).add(32);
                };
        var weight = new RawTensor("F8_E4M3", List.of((long) SIZE, (long) SIZE), bytes);
        Path folder =
                folder(
                        "float-quantized",
                        weights,
                        Map.of(
                                ".weight",
                                weight,
                                ".weight_scale",
                                RawTensor.of(DType.F32, scales, 4, 2)));
        holds(folder, expected, "float32");
        Path wrong =
                folder(
                        "float-quantized",
                        weights,
                        Map.of(
                                ".weight",
                                weight,
                                ".weight_scale",
                                RawTensor.of(DType.F32, scales, 2, 4)));
        assertThatThrownBy(() -> Checkpoint.open(wrong))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("has [2, 4] scales for 64 times 64 weights");
    }

    @Test
    void zerosThatAreLeftOutAreRefused() throws IOException {
        TinyModel model = model();
        ObjectNode config = model.config();
        ObjectNode quantization = config.putObject("quantization_config");
        quantization.put("quant_method", "compressed-tensors").putObject("config_groups");
        quantization.putObject("sparsity_config").put("format", "sparse-24-bitmask");
        Path folder = model.write(temporary.resolve("model"), config, model.tensors());
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("sparsity_config 'sparse-24-bitmask'");
    }
}
