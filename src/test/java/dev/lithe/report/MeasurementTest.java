package dev.lithe.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.ProgressListener;
import dev.lithe.evaluate.Scoring;
import dev.lithe.fault.LitheException;
import dev.lithe.report.Report.Variant;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MeasurementTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final LatencyOptions NONE = new LatencyOptions(0, 64, 64, 0);

    @TempDir private Path folder;

    @Test
    void demoAndItsInt8CopySideBySide() {
        Path int8 = folder.resolve("int8");
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            Plan plan = Plan.of(RecipeParser.named("int8"), checkpoint);
            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(int8, false);
        }
        var options =
                new MeasureOptions(
                        DEMO.resolve("evaluation.txt"),
                        256,
                        6_656,
                        Scoring.ALL,
                        0,
                        new LatencyOptions(10, 16, 4, 0),
                        DEMO.resolve("calibration.txt"));
        Report report =
                Measurement.measure(
                        Candidate.of("original", "demo", DEMO),
                        List.of(Candidate.of("compressed", "int8", int8)),
                        options,
                        ProgressListener.NONE);
        assertThat(ReportJson.read(ReportJson.write(report), "here")).isEqualTo(report);
        assertThat(report.evaluation().windows()).isEqualTo(26);
        assertThat(report.evaluation().scoredTokens()).isEqualTo(6_630);
        assertThat(report.evaluation().calibrationText()).isNotNull();
        assertThat(report.model().parameters()).isEqualTo(7_212_288);
        Variant original = report.original();
        assertThat(Math.log(original.perplexity().value())).isCloseTo(2.7366, within(1e-3));
        assertThat(original.perplexity().low()).isLessThan(original.perplexity().value());
        assertThat(original.ratios()).isNull();
        Variant compressed = report.compressed().getFirst();
        assertThat(compressed.recipe()).contains("rtn");
        assertThat(compressed.ratios().perplexity().value()).isCloseTo(1, within(0.005));
        assertThat(compressed.ratios().bytesOnDisk().value()).isBetween(0.5, 0.6);
        assertThat(compressed.klDivergence().mean()).isBetween(1e-5, 2e-3);
        assertThat(compressed.sameTop()).isBetween(0.96, 1.0);
        assertThat(compressed.memoryBytes()).isLessThan(original.memoryBytes());
        assertThat(compressed.latency().ttftMs().p50()).isPositive();
        assertThat(report.evaluation().latency().pairs()).isEqualTo(10);
    }

    @Test
    void contextDefaultsToWhatTheModelsHold() throws IOException {
        Path model = TinyModel.small().write(folder.resolve("model"));
        Report report = measure(model, List.of(), options(text("a".repeat(400)), null));
        assertThat(report.evaluation().context()).isEqualTo(128);
        assertThat(report.evaluation().windows()).isEqualTo(3);
        assertThat(report.original().perplexity().low()).isNull();
        assertThat(report.compressed()).isEmpty();
    }

    @Test
    void whatCannotBeMeasuredIsRefusedInOneLine() throws IOException {
        Path model = TinyModel.small().write(folder.resolve("model"));
        Path text = text("some words ".repeat(50));
        refuse(model, List.of(), options(text, 129), "129", "128");
        refuse(model, List.of(), options(text("short"), null), "5 tokens", "128");
        refuse(model, List.of(), options(folder.resolve("absent"), null), "no file");
        refuse(folder.resolve("nowhere"), List.of(), options(text, null), "no model folder");
        var calibrated = new MeasureOptions(text, null, 8192, Scoring.ALL, 0, NONE, text);
        refuse(model, List.of(), calibrated, "calibrated");
        assertThatThrownBy(() -> new MeasureOptions(text, 8, 1, Scoring.ALL, 0, NONE, null))
                .hasMessageContaining("1 tokens");
        assertThatThrownBy(() -> options(text, 1)).hasMessageContaining("context 1");
    }

    /// The same model under other numbers: the text costs as many bits, though tokens cannot be
    /// compared.
    @Test
    void otherTokensCompareByCharacter() throws IOException {
        TinyModel tiny = TinyModel.small();
        Path model = tiny.write(folder.resolve("model"));
        Path text = text("some wörds ".repeat(50));
        Path other = TinyModel.small().write(folder.resolve("other"), tiny.config(), swapped(tiny));
        Path file = other.resolve("tokenizer.json");
        Files.writeString(
                file,
                Files.readString(file)
                        .replace("\"s\":" + S, "\"s\":299")
                        .replace("\"<filler299>\":299", "\"<filler299>\":" + S));
        for (Scoring scoring : Scoring.values()) {
            var options = new MeasureOptions(text, 64, 8192, scoring, 0, NONE, null);
            Report report = measure(model, List.of(other), options);
            Variant original = report.original();
            Variant renumbered = report.compressed().getFirst();
            assertThat(renumbered.klDivergence()).isNull();
            assertThat(renumbered.sameTop()).isNull();
            assertThat(renumbered.ratios().perplexity()).isNull();
            assertThat(renumbered.ratios().bitsPerCharacter().value()).isCloseTo(1, within(1e-6));
            double bits =
                    Math.log(original.perplexity().value())
                            / Math.log(2)
                            * report.evaluation().scoredTokens();
            long characters = original.bitsPerCharacter().characters();
            assertThat(characters) // ö is two tokens
                    .isBetween(
                            report.evaluation().scoredTokens() * 9L / 10,
                            report.evaluation().scoredTokens() * 35L / 36);
            assertThat(original.bitsPerCharacter().value())
                    .isCloseTo(bits / characters, within(1e-6));
            assertThat(report.continuations())
                    .allSatisfy(each ->
                            assertThat(each.texts().getFirst()).isEqualTo(each.texts().getLast()));
            assertThat(TerminalTable.of(report)).contains("other tokens", "bits per character");
            assertThat(ReportMarkdown.of(report)).contains("splits the text into other tokens");
            assertThatThrownBy(() -> new QualityGate(1.1).check(report))
                    .hasMessageContaining("cannot judge");
        }
    }

    private static final int S = 2 + 's';

    /// With the rows of `s` and of a filler changed over.
    private static Map<String, RawTensor> swapped(TinyModel tiny) {
        Map<String, RawTensor> tensors = tiny.tensors();
        for (String name : List.of("model.embed_tokens.weight", "lm_head.weight")) {
            tensors.computeIfPresent(
                    name,
                    (_, weight) -> {
                        float[] values = weight.floats();
                        int d = values.length / 300;
                        for (int i = 0; i < d; i++) {
                            float kept = values[S * d + i];
                            values[S * d + i] = values[299 * d + i];
                            values[299 * d + i] = kept;
                        }
                        return RawTensor.of(DType.F32, values, 300, d);
                    });
        }
        return tensors;
    }

    @Test
    void anotherFileOfTheSameTokensIsNoOtherTokenizer() throws IOException {
        Path model = TinyModel.small().write(folder.resolve("model"));
        Path same = TinyModel.small().write(folder.resolve("same"));
        Files.writeString(
                same.resolve("tokenizer.json"),
                Files.readString(model.resolve("tokenizer.json")) + "\n");
        Report report =
                measure(model, List.of(same), options(text("some words ".repeat(50)), null));
        assertThat(report.compressed().getFirst().klDivergence()).isNotNull();
    }

    @Test
    void secondHalfNeedsAStartToken() throws IOException {
        TinyModel model = TinyModel.small();
        ObjectNode config = model.config();
        config.remove("bos_token_id");
        Path path = model.write(folder.resolve("model"), config, model.tensors());
        var options =
                new MeasureOptions(
                        text("words ".repeat(90)), 64, 8192, Scoring.SECOND_HALF, 0, NONE, null);
        refuse(path, List.of(), options, "bos_token_id");
    }

    private void refuse(Path model, List<Path> others, MeasureOptions options, String... reasons) {
        assertThatThrownBy(() -> measure(model, others, options))
                .isInstanceOf(LitheException.class)
                .hasMessageContainingAll(reasons)
                .hasMessageNotContaining("\n");
    }

    private static Report measure(Path model, List<Path> others, MeasureOptions options) {
        return Measurement.measure(
                Candidate.of("original", model.toString(), model),
                others.stream().map(path -> Candidate.of("other", "other", path)).toList(),
                options,
                ProgressListener.NONE);
    }

    private static MeasureOptions options(Path text, @Nullable Integer context) {
        return new MeasureOptions(text, context, 8192, Scoring.ALL, 0, NONE, null);
    }

    private Path text(String content) throws IOException {
        return Files.writeString(Files.createTempFile(folder, "text", ".txt"), content);
    }
}
