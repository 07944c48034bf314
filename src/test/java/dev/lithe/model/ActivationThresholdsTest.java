package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Instructions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Models in which small inputs count as 0, by libtorch and by the native kernels.
class ActivationThresholdsTest {
    private static final int VOCAB = 300;
    private static final double ALL = 1e9;
    private static final List<List<Double>> SOME =
            List.of(List.of(0.6, 0.02, 0.5, 0.01), List.of(0.0, 0.05, 0.8, 0.02));

    @TempDir private Path folder;

    static Stream<TinyModel> models() {
        return Stream.of(
                TinyModel.small(),
                TinyModel.small().dtype(DType.F16),
                TinyModel.small().dtype(DType.BF16).heads(4, 1, 12),
                TinyModel.small().heads(6, 2, 10).width(36, 70).biases());
    }

    private Path written(TinyModel model, List<List<Double>> thresholds, int dense)
            throws IOException {
        ObjectNode config = model.config();
        new ActivationThresholds(thresholds, dense).describe(config);
        return model.write(folder, config, model.tensors());
    }

    /// No linear is empty of inputs here, and none reads all.
    @ParameterizedTest
    @MethodSource("models")
    void allEnginesComputeTheSame(TinyModel model) throws IOException {
        Path sparse = written(model, SOME, 3);
        float[] expected = Logits.together(sparse, Optional.empty());
        assertThat(expected)
                .isNotEqualTo(Logits.together(written(model, List.of(), 0), Optional.empty()));
        sparse = written(model, SOME, 3);
        Logits.requireAlike(sparse);
    }

    /// Without its inputs a linear adds nothing: what o and down write is as if they were zero.
    @Test
    void aThresholdAboveAllInputsIsAModelWithoutTheLinear() throws IOException {
        TinyModel model = TinyModel.small();
        List<Double> none = List.of(0.0, ALL, 0.0, ALL);
        Path sparse = written(model, List.of(none, none), 0);
        for (Optional<Instructions> engine : Logits.engines()) {
            float[] actual = Logits.together(sparse, engine);
            Map<String, RawTensor> tensors = model.tensors();
            tensors.replaceAll((name, tensor) ->
                    name.contains("o_proj") || name.contains("down_proj")
                            ? RawTensor.of(
                                    DType.F32,
                                    new float[tensor.floats().length],
                                    tensor.shape().stream().mapToLong(n -> n).toArray())
                            : tensor);
            model.write(folder, model.config(), tensors);
            Logits.requireClose(actual, Logits.together(folder, engine), engine.toString());
            written(model, List.of(none, none), 0);
        }
    }

    @Test
    void theFirstPositionsKeepAllInputs() throws IOException {
        TinyModel model = TinyModel.small();
        List<Double> some = List.of(0.5, 0.5, 0.5, 0.5);
        for (Optional<Instructions> engine : Logits.engines()) {
            float[] dense = Logits.oneByOne(written(model, List.of(), 0), engine);
            Path sparse = written(model, List.of(some, some), 7);
            for (float[] logits :
                    List.of(Logits.oneByOne(sparse, engine), Logits.together(sparse, engine))) {
                Logits.requireClose(
                        Arrays.copyOf(logits, 7 * VOCAB),
                        Arrays.copyOf(dense, 7 * VOCAB),
                        engine.toString());
                assertThat(Arrays.copyOfRange(logits, 7 * VOCAB, 8 * VOCAB))
                        .isNotEqualTo(Arrays.copyOfRange(dense, 7 * VOCAB, 8 * VOCAB));
            }
        }
    }

    @Test
    void refusesWhatDoesNotFitTheModel() {
        ObjectNode config = TinyModel.small().config();
        new ActivationThresholds(List.of(SOME.getFirst()), 0).describe(config);
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining("thresholds of 1 blocks, and the model has 2");
        new ActivationThresholds(List.of(List.of(0.1, -1.0, 0.0, 0.0), SOME.getFirst()), 0)
                .describe(config);
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining("each block needs 4 numbers from 0");
        config.withObject("/lithe_activation_sparsity").put("format", "other");
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining("this Lithe knows lithe.activation_sparsity/v1");
    }

    @Test
    void saysAndReads() {
        ObjectNode config = TinyModel.small().config();
        var thresholds = new ActivationThresholds(SOME, 4);
        thresholds.describe(config);
        assertThat(ModelSpec.of(config, "config.json").thresholds()).isEqualTo(thresholds);
        ActivationThresholds.NONE.describe(config);
        assertThat(config).isEqualTo(TinyModel.small().config());
    }
}
