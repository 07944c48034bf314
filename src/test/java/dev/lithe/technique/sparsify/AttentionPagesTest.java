package dev.lithe.technique.sparsify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.export.DenseExport;
import dev.lithe.export.GgufExport;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.PageAttention;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.RunTechniqueContract;
import dev.lithe.technique.sparsify.AttentionPages.Config;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttentionPagesTest extends RunTechniqueContract<Config> {
    @Override
    protected RunTechnique<Config> technique() {
        return new AttentionPages();
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                new Config(16, 0, 2),
                new Config(16, 16, 1),
                new Config(16, 16, 0),
                new Config(1, 1, 1),
                new Config(64, 1024, 1));
    }

    @Test
    void saysWhatItDoes() {
        ObjectNode model = TinyModel.of("llama").layers(3).config();
        technique().configure(model, technique().defaults());
        assertThat(model.path("lithe_page_attention"))
                .hasToString(
                        "{\"format\":\"lithe.page_attention/v1\",\"page\":16,\"pages\":16,\"dense\":2}");
        var spec = ModelSpec.of(model, "config.json");
        assertThat(spec.pageAttention()).isEqualTo(new PageAttention(16, 16, 2));
        assertThat(spec.blocksThatChoosePages()).isEqualTo(1);
        assertThat(spec.pageAttention().label())
                .isEqualTo(
                        "16 pages of 16 positions and one's own, and everything in the first 2 blocks");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "page_attention:page=0 | page is 0; choose a count of tokens",
                "page_attention:pages=-1 | pages is -1; choose up to 1024, or 0 for all",
                "page_attention:pages=1025 | pages is 1025; choose up to 1024, or 0 for all",
                "page_attention:dense=-1 | dense is -1; choose how many blocks see everything",
                "page_attention | none of the model's 2 blocks would choose pages: the first 2 see"
                        + " everything, 0 have a window",
                "sparse_attention:sinks=2,window=9;page_attention:dense=0 | leave one of them out",
                "page_attention:dense=0;sparse_attention:sinks=2,window=9 | leave one of them out",
                "page_attention:dense=0;kv_cache:keys=8,values=16 | leave one of them out"
            })
    void thePlanRefuses(String stages, String reason, @TempDir Path folder) throws IOException {
        try (Checkpoint source = Checkpoint.open(TinyModel.small().write(folder))) {
            assertThatThrownBy(() ->
                            Pipeline.plan(RecipeParser.inline(List.of(stages.split(";"))), source))
                    .hasMessageContaining(reason);
        }
    }

    @Test
    void exportsSayItOrLeaveItOut(@TempDir Path folder) throws IOException {
        TinyModel.small().pages(4, 6, 1).write(folder.resolve("model"));
        try (Checkpoint source = Checkpoint.open(folder.resolve("model"))) {
            assertThatThrownBy(() -> GgufExport.write(source, null, folder.resolve("x.gguf")))
                    .hasMessageContaining("6 pages of 4 positions and one's own")
                    .hasMessageContaining("--to dense");
            DenseExport.write(source, folder.resolve("dense"), false);
        }
        JsonNode config = new JsonMapper().readTree(folder.resolve("dense/config.json").toFile());
        assertThat(config.has("hidden_size")).isTrue();
        assertThat(config.has("lithe_page_attention")).isFalse();
    }
}
