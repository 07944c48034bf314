package dev.lithe.technique.sparsify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.export.GgufExport;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.SparseAttention;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.RunTechniqueContract;
import dev.lithe.technique.sparsify.AttentionSinks.Config;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttentionSinksTest extends RunTechniqueContract<Config> {
    @Override
    protected RunTechnique<Config> technique() {
        return new AttentionSinks();
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                new Config(0, 0, 0, 0),
                technique().defaults(),
                new Config(4, 100, 0, 0),
                new Config(1, 1, 0, 0),
                new Config(64, 64, 0, 0),
                new Config(4, 40, 20, 0),
                new Config(4, 0, 20, 100));
    }

    @Test
    void saysWhatItDoes() {
        ObjectNode model = TinyModel.small().config();
        technique().configure(model, new Config(4, 100, 0, 0));
        assertThat(model.path("lithe_sparse_attention"))
                .hasToString(
                        "{\"format\":\"lithe.sparse_attention/v1\",\"sinks\":4,\"window\":100}");
        assertThat(ModelSpec.of(model, "config.json").sparseAttention())
                .isEqualTo(new SparseAttention(4, 100, 0, 0));
    }

    @Test
    void saysHowManyAreKept() {
        ObjectNode model = TinyModel.small().config();
        technique().configure(model, new Config(4, 0, 20, 0));
        assertThat(model.path("lithe_sparse_attention"))
                .hasToString(
                        "{\"format\":\"lithe.sparse_attention/v1\",\"sinks\":4,\"window\":104,"
                                + "\"heavy\":20,\"context\":128}");
        SparseAttention made = ModelSpec.of(model, "config.json").sparseAttention();
        assertThat(made).isEqualTo(new SparseAttention(4, 104, 20, 128));
        assertThat(made.label())
                .isEqualTo("the first 4 positions, the 20 of most attention and the last 104");
    }

    @Test
    void theWindowIsWhatTheContextLeaves() {
        ObjectNode model = TinyModel.small().config();
        technique().configure(model, technique().defaults());
        assertThat(ModelSpec.of(model, "config.json").sparseAttention())
                .isEqualTo(new SparseAttention(4, 124, 0, 0));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sinks=0,window=100 | sinks is 0; choose at least 1",
                "sinks=-1 | sinks is -1; choose at least 1",
                "window=-5 | window is -5; choose a count of tokens",
                "window=125 | choose a window of up to 124",
                "sinks=128 | 128 sinks and 0 heavy hitters leave a window of 0 of the context of 128",
                "heavy=-1 | heavy is -1; choose a count of tokens, or 0",
                "sinks=0,heavy=8 | sinks is 0; choose at least 1",
                "heavy=124 | 4 sinks and 124 heavy hitters leave a window of 0 of the context of 128",
                "heavy=20,window=7 | choose a window of at least 8",
                "heavy=120 | leave a window of 4 of the context of 128, which must be at least 8",
                "heavy=20,context=129 | choose a context of up to 128",
                "heavy=20,context=60,window=40 | together more than the context of 60",
                "heavy=20,context=-1 | context is -1",
                "context=100 | context is 100, and heavy 0",
                "heavy=20,window=105 | choose a window of up to 104",
                "sinks=200,window=1 | together more than the context of 128"
            })
    void thePlanRefuses(String settings, String reason, @TempDir Path folder) throws IOException {
        try (Checkpoint source = Checkpoint.open(TinyModel.small().write(folder))) {
            assertThatThrownBy(() ->
                            Pipeline.plan(
                                    RecipeParser.inline(List.of("sparse_attention:" + settings)),
                                    source))
                    .hasMessageContaining(reason);
        }
    }

    @Test
    void ggufCannotSayIt(@TempDir Path folder) throws IOException {
        TinyModel.small().sinks(4, 60).write(folder);
        try (Checkpoint source = Checkpoint.open(folder)) {
            assertThatThrownBy(() -> GgufExport.write(source, null, folder.resolve("x.gguf")))
                    .hasMessageContaining("the first 4 positions and the last 60")
                    .hasMessageContaining("--to dense");
        }
    }
}
