package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A folder in GPTQ's layout holds the weights of the one that it was made from.
class GptqTest {
    @TempDir private Path temporary;

    private Path compressed(String stage) throws IOException {
        Path source =
                TinyModel.of("llama")
                        .width(64, 96)
                        .heads(4, 2, 16)
                        .vocab(320)
                        .dtype(DType.F16)
                        .write(temporary.resolve("model"));
        Path small = temporary.resolve("small");
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stage)), checkpoint);
            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(small, false);
        }
        return small;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rtn:bits=4,group_size=32 | gptq",
                "rtn:bits=3,group_size=32 | gptq",
                "rtn:bits=2,group_size=16,symmetric=false | gptq_v2",
                "rtn:bits=4,group_size=32,symmetric=false,ignore=[] | gptq_v2",
                "rtn:bits=8,group_size=0 | gptq"
            })
    void whatIsWrittenIsRead(String stage, String format) throws IOException {
        Path small = compressed(stage);
        Path exported = temporary.resolve("exported");
        try (Checkpoint checkpoint = Checkpoint.open(small)) {
            GptqExport.write(checkpoint, exported, false);
        }
        try (Checkpoint before = Checkpoint.open(small);
                Checkpoint after = Checkpoint.open(exported);
                var scope = TensorScope.open()) {
            JsonNode said = after.json("quantize_config.json");
            assertThat(said).isNotNull();
            assertThat(said.path("checkpoint_format").asText()).isEqualTo(format);
            var there = new LinearReader(before);
            var here = new LinearReader(after);
            ModelSpec spec = ModelSpec.of(after.config(), "config.json");
            here.checkAll(spec);
            for (LinearName name : Architecture.linears(spec)) {
                assertThat(here.form(name).label()).isEqualTo(there.form(name).label());
                assertThat(DenseWeights.of(here.read(name, scope), scope).floats())
                        .as(name.module())
                        .isEqualTo(DenseWeights.of(there.read(name, scope), scope).floats());
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rtn:bits=5,group_size=32 | is int5 group 32; GPTQ's layout holds",
                "nf4:group_size=16 | is codebook 16",
                "rtn:bits=4,group_size=32,ignore=[re:.*up_proj] | up_proj' is float16, others are int4"
            })
    void whatItCannotHoldIsRefused(String stage, String reason) throws IOException {
        Path small = compressed(stage);
        try (Checkpoint checkpoint = Checkpoint.open(small)) {
            assertThatThrownBy(() -> GptqExport.write(checkpoint, temporary.resolve("e"), false))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining(reason);
        }
        assertThat(temporary.resolve("e")).doesNotExist();
    }
}
