package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.SharedFiles;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.Scoring;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCacheForm;
import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import dev.lithe.report.ReportMarkdown;
import dev.lithe.report.TerminalTable;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Recipes with `kv_cache`: what they write, and what it costs in quality.
class KvCacheRecipeTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");

    @TempDir private Path folder;

    private Path compress(Path source, String name, String... stages) {
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stages)), checkpoint);
            return new Compressor(plan, checkpoint, (_, _, _) -> {})
                    .run(folder.resolve(name), false);
        }
    }

    private static KvCacheForm form(Path model) {
        try (Decoder decoder = Decoder.open(model)) {
            return decoder.spec().kvCache();
        }
    }

    @Test
    void aloneItCopiesTheWeights() throws IOException {
        Path source = TinyModel.small().write(folder.resolve("source"));
        Path made = compress(source, "made", "kv_cache:keys=4,values=8");
        assertThat(form(made)).isEqualTo(new KvCacheForm(4, 8));
        try (Checkpoint before = Checkpoint.open(source);
                Checkpoint after = Checkpoint.open(made)) {
            assertThat(after.entries().keySet()).isEqualTo(before.entries().keySet());
            try (var scope = TensorScope.open()) {
                for (String name : before.entries().keySet()) {
                    assertThat(after.load(name, scope).rawBytes())
                            .isEqualTo(before.load(name, scope).rawBytes());
                }
            }
            ObjectNode config = after.config().deepCopy();
            assertThat(config.remove("lithe_kv_cache")).isNotNull();
            assertThat(config).isEqualTo(before.config());
            assertThat(after.json("lithe.json").at("/recipe/stages/0/kv_cache/keys").asInt())
                    .isEqualTo(4);
        }
    }

    @Test
    void itStaysUntilARecipeSaysOtherwise() throws IOException {
        Path source = TinyModel.small().write(folder.resolve("source"));
        Path few = compress(source, "few", "cast:dtype=bfloat16", "kv_cache:keys=8,values=4");
        Path still = compress(few, "still", "rtn:bits=8");
        assertThat(form(still)).isEqualTo(new KvCacheForm(8, 4));
        assertThat(form(compress(still, "other", "kv_cache:keys=4,values=4")))
                .isEqualTo(new KvCacheForm(4, 4));
        assertThat(form(compress(still, "floats", "kv_cache:keys=16,values=16")))
                .isEqualTo(KvCacheForm.FLOAT);
    }

    @Test
    void thePlanRefusesHeadsTooWideToTurn() throws IOException {
        Path source = TinyModel.small().heads(1, 1, 8192).width(8, 8).write(folder.resolve("wide"));
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Recipe recipe = RecipeParser.inline(List.of("kv_cache:keys=4"));
            assertThatThrownBy(() -> Plan.of(recipe, checkpoint))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("head_dim 8192 is too wide for keys in 4 bits")
                    .hasMessageNotContaining("\n");
        }
    }

    @ParameterizedTest
    @CsvSource({"8, 8, 1.001, 0.33, 1e-4", "4, 4, 1.01, 0.18, 0.006", "8, 4, 1.005, 0.26, 0.002"})
    void keepsTheDemo(int keys, int values, double ratio, double memory, double divergence) {
        Report report = measure(DEMO, keys, values, DEMO.resolve("evaluation.txt"));
        Report.Variant made = report.compressed().getFirst();
        Report.Variant original = report.original();
        assertThat(made.ratios().perplexity().value()).isLessThan(ratio);
        assertThat(made.klDivergence().mean()).isBetween(1e-6, divergence);
        assertThat((double) made.kvBytesPerToken() / original.kvBytesPerToken()).isLessThan(memory);
        assertThat(original.kvBytesPerToken()).isEqualTo(2 * 6 * 8 * 32 * Float.BYTES);
        assertThat(TerminalTable.of(report)).contains("cache per token   12.3 kB");
        assertThat(ReportMarkdown.of(report)).contains("| cache per token | 12.3 kB |");
    }

    /// Heads of 8 with outlying keys: 8 bits hold, 4 bits do for values only.
    @ParameterizedTest
    @CsvSource({"8, 8, 1.003", "8, 4, 1.01"})
    void keepsStories260K(int keys, int values, double ratio) {
        Path model = SharedFiles.require("models/stories260K");
        Path text = SharedFiles.require("corpora/tinystories.eval.txt");
        Report.Variant made = measure(model, keys, values, text).compressed().getFirst();
        assertThat(made.ratios().perplexity().value()).isLessThan(ratio);
    }

    private Report measure(Path model, int keys, int values, Path text) {
        Path made = compress(model, "made", "kv_cache:keys=" + keys + ",values=" + values);
        var latency = new LatencyOptions(0, 64, 64, 0);
        return Measurement.measure(
                Candidate.of("original", "original", model),
                List.of(Candidate.of("compressed", "kv_cache", made)),
                new MeasureOptions(text, 256, 8192, Scoring.ALL, 0, latency, null),
                (_, _, _) -> {});
    }
}
