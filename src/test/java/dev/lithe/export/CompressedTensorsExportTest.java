package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
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

/// The exported folder holds the same weights, and only forms that compressed-tensors has.
class CompressedTensorsExportTest {
    @TempDir private Path temporary;

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | rtn:bits=4,group_size=8 | pack-quantized",
                "qwen2 | rtn:bits=3,group_size=8,symmetric=false | pack-quantized",
                "llama | rtn:bits=8,group_size=0,activations=dynamic | int-quantized",
                "phi3 | fp8 | float-quantized",
                "llama | rtn:bits=4,group_size=8,targets=[re:.*] | pack-quantized",
                "llama | nf4:group_size=16 | none",
                "llama | svd:remove=0.3,weighting=none | none"
            })
    void itIsTheSameModel(String type, String stage, String format) throws IOException {
        Path source = TinyModel.of(type).dtype(DType.F32).write(temporary.resolve("model"));
        Path small = temporary.resolve("small");
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stage)), checkpoint);
            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(small, false);
        }
        Path exported = temporary.resolve("exported");
        try (Checkpoint checkpoint = Checkpoint.open(small)) {
            CompressedTensorsExport.write(checkpoint, exported, false);
        }
        try (Checkpoint before = Checkpoint.open(small);
                Checkpoint after = Checkpoint.open(exported);
                var scope = TensorScope.open()) {
            JsonNode quantization = after.config().path("quantization_config");
            assertThat(quantization.path("format").asText("none")).isEqualTo(format);
            assertThat(after.entry("model.embed_tokens.weight").dtype()).isEqualTo(DType.F32);
            var there = new LinearReader(before);
            var here = new LinearReader(after);
            ModelSpec spec = ModelSpec.of(after.config(), "config.json");
            here.checkAll(spec);
            for (Part part : Architecture.parts(spec)) {
                for (LinearName name : part.linears()) {
                    assertThat(DenseWeights.of(here.read(name, scope), scope).floats())
                            .as(name.module())
                            .isEqualTo(DenseWeights.of(there.read(name, scope), scope).floats());
                }
            }
        }
    }
}
