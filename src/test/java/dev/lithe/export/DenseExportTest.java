package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Decoder;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A plain folder holds the weights that the compressed one stands for.
class DenseExportTest {
    @TempDir private Path temporary;

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | rtn:bits=4,group_size=8",
                "qwen2 | nf4:group_size=16",
                "phi3 | rtn:bits=3,group_size=8,symmetric=false",
                "gemma3_text | svd:remove=0.3,weighting=none",
                "qwen3 | magnitude"
            })
    void itIsTheSameModel(String type, String stage) throws IOException {
        Path source = TinyModel.of(type).dtype(DType.F32).write(temporary.resolve("model"));
        Path small = temporary.resolve("small");
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stage)), checkpoint);
            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(small, false);
        }
        Path dense = temporary.resolve("dense");
        try (Checkpoint checkpoint = Checkpoint.open(small)) {
            DenseExport.write(checkpoint, dense, false);
        }
        try (Checkpoint checkpoint = Checkpoint.open(dense)) {
            assertThat(checkpoint.config().has("quantization_config")).isFalse();
            assertThat(checkpoint.entries().keySet())
                    .containsExactlyInAnyOrderElementsOf(TinyModel.of(type).tensors().keySet());
            assertThat(dense.resolve("tokenizer.json")).exists();
        }
        try (Checkpoint before = Checkpoint.open(small);
                Checkpoint after = Checkpoint.open(dense);
                var scope = TensorScope.open()) {
            ModelSpec spec = ModelSpec.of(after.config(), "config.json");
            for (Part part : Architecture.parts(spec)) {
                for (LinearName name : part.linears()) {
                    assertThat(floats(after, name, scope))
                            .as(name.module())
                            .isEqualTo(floats(before, name, scope));
                }
                for (String norm : part.norms().values()) {
                    assertThat(after.load(norm, scope).floats())
                            .isEqualTo(before.load(norm, scope).floats());
                }
            }
        }
    }

    /// Zeros in the place of parts that blocks lack add nothing, so any loader computes the same.
    @ParameterizedTest
    @CsvSource({"llama", "qwen2", "phi3", "gemma2"})
    void missingPartsBecomeZeros(String type) throws IOException {
        TinyModel whole = TinyModel.of(type).layers(4);
        List<String> tensors = List.copyOf(whole.tensors().keySet());
        Path small = whole.without(List.of(1, 3), List.of(2, 3)).write(temporary.resolve("small"));
        Path packed = temporary.resolve("packed");
        Path quantized = temporary.resolve("quantized");
        Path dense = temporary.resolve("dense");
        try (Checkpoint checkpoint = Checkpoint.open(small)) {
            DenseExport.write(checkpoint, dense, false);
            Plan plan =
                    Plan.of(RecipeParser.inline(List.of("rtn:bits=8,group_size=16")), checkpoint);
            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(packed, false);
        }
        try (Checkpoint checkpoint = Checkpoint.open(packed)) {
            CompressedTensorsExport.write(checkpoint, quantized, false);
            assertThatThrownBy(() -> GptqExport.write(checkpoint, temporary.resolve("gptq"), false))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("some blocks lack attention")
                    .hasMessageContaining("use --to dense");
        }
        try (Checkpoint checkpoint = Checkpoint.open(dense)) {
            assertThat(checkpoint.entries().keySet()).containsExactlyInAnyOrderElementsOf(tensors);
            assertThat(checkpoint.config().path("model_type").asText()).isEqualTo(type);
            assertThat(checkpoint.config().has("block_configs")).isFalse();
        }
        assertThat(logits(dense)).containsExactly(logits(small), within(1e-5f));
        assertThat(logits(quantized)).containsExactly(logits(packed), within(1e-3f));
    }

    private static float[] logits(Path folder) {
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            return decoder.next(new int[] {5, 17, 44, 299}, decoder.newCache(1, 4, scope));
        }
    }

    private static float[] floats(Checkpoint folder, LinearName name, TensorScope scope) {
        return DenseWeights.of(new LinearReader(folder).read(name, scope), scope).floats();
    }
}
