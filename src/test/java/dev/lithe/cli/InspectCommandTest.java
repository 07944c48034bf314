package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.technique.Technique;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `inspect` and `techniques`: what there is.
class InspectCommandTest {
    private static final JsonMapper JSON = new JsonMapper();

    @TempDir private Path folder;

    @Test
    void techniquesInLines() {
        var run = CommandLineRun.of("techniques");
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out().lines()).hasSize(Technique.all().size());
        for (Technique technique : Technique.all()) {
            assertThat(run.out()).contains(technique.name(), technique.summary());
        }
    }

    @Test
    void techniquesAsJson() throws IOException {
        var run = CommandLineRun.of("techniques", "--json");
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        JsonNode rows = JSON.readTree(run.out());
        assertThat(rows.size()).isEqualTo(Technique.all().size());
        for (JsonNode row : rows) {
            assertThat(row.properties().stream().map(field -> field.getKey()))
                    .containsExactly("name", "family", "scope", "summary");
            assertThat(row.path("scope").asText()).isIn("linear", "block", "model", "run");
        }
        assertThat(rows.findValuesAsText("name")).contains("cast", "rtn").isSorted();
        assertThat(rows.findValuesAsText("family")).contains("quantization");
    }

    @Test
    void theDemo() {
        var run = CommandLineRun.of("inspect", "demo");
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out()).contains("demo · LlamaForCausalLM", "vocabulary", "float16");
    }

    @Test
    void blocksMayLackParts() throws IOException {
        TinyModel.small().without(List.of(1), List.of(0)).write(folder);
        var run = CommandLineRun.of("inspect", folder.toString());
        assertThat(run.out())
                .contains("attention in 1 of 2 blocks, feed-forward part in 1")
                .contains("8 × float32");
        JsonNode json =
                JSON.readTree(CommandLineRun.of("inspect", folder.toString(), "--json").out());
        assertThat(json.at("/spec/sublayers/no_attention").toString()).isEqualTo("[1]");
        assertThat(json.at("/spec/sublayers/no_mlp").toString()).isEqualTo("[0]");
    }

    @Test
    void jsonNamesEveryLinear() throws IOException {
        for (TinyModel tiny : List.of(TinyModel.small(), TinyModel.small().biases().tied())) {
            Path model = tiny.write(folder.resolve("model"));
            JsonNode json = inspect(model);
            assertThat(json.path("spec").path("hidden_size").asInt()).isEqualTo(32);
            long elements;
            try (var checkpoint = Checkpoint.open(model)) {
                elements =
                        checkpoint.entries().values().stream()
                                .mapToLong(entry -> entry.elements())
                                .sum();
                assertThat(json.path("bytes_on_disk").asLong()).isEqualTo(checkpoint.tensorBytes());
            }
            assertThat(json.path("parameters").asLong()).isEqualTo(elements);
            JsonNode first = json.path("linears").path(0);
            assertThat(first.path("name").asText()).isEqualTo("model.layers.0.self_attn.q_proj");
            assertThat(first.path("out_features").asInt()).isEqualTo(32);
            assertThat(first.path("form").asText()).isEqualTo("float32");
            assertThat(first.path("bytes").asLong()).isEqualTo(4 * 32 * 32);
        }
    }

    @Test
    void formsOfACompressedModel() throws IOException {
        Path model = TinyModel.small().write(folder.resolve("model"));
        Path made = folder.resolve("made");
        assertThat(CommandLineRun.of("compress", model, "--no-evaluate", "-o", made).code())
                .isZero();
        assertThat(inspect(made).findValuesAsText("form"))
                .contains("int4 group 32", "int8 per channel, dynamic activations");
        assertThat(inspect(made).path("parameters")).isEqualTo(inspect(model).path("parameters"));
        assertThat(CommandLineRun.of("inspect", made).out()).contains("12 × int4 group 32");
    }

    private static JsonNode inspect(Path model) throws IOException {
        var run = CommandLineRun.of("inspect", model, "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.err()).isEmpty();
        return JSON.readTree(run.out());
    }

    @Test
    void nonsenseIsOneLineAndTwo() throws IOException {
        Path text = Files.writeString(folder.resolve("text.txt"), "no model");
        Path empty = Files.createDirectory(folder.resolve("empty"));
        for (Object nonsense : List.of("no-such-model", text, empty, "")) {
            var run = CommandLineRun.of("inspect", nonsense);
            assertThat(run.code()).isEqualTo(2);
            assertThat(run.out()).isEmpty();
            assertThat(run.err()).startsWith("lithe: ").hasLineCount(1);
        }
    }
}
