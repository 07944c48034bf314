package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.model.Architecture;
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

    private static float[] floats(Checkpoint folder, LinearName name, TensorScope scope) {
        return DenseWeights.of(new LinearReader(folder).read(name, scope), scope).floats();
    }
}
