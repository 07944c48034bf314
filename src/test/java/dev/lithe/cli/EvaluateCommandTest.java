package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.report.Report;
import dev.lithe.report.ReportFolder;
import dev.lithe.report.ReportJson;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class EvaluateCommandTest {
    @TempDir private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private Path model;
    private Path other;
    private Path text;

    @BeforeEach
    void write() throws IOException {
        model = TinyModel.small().write(folder.resolve("model"));
        other = TinyModel.small().seed(2).write(folder.resolve("other"));
        text = Files.writeString(folder.resolve("text.txt"), "once upon a time ".repeat(40));
    }

    @Test
    void tableGoesToStandardOutputAndProgressToStandardError() {
        assertThat(
                        evaluate(
                                model,
                                other,
                                "--context",
                                "64",
                                "--latency-pairs",
                                "10",
                                "--prompt-tokens",
                                "8",
                                "--output-tokens",
                                "3"))
                .isZero();
        assertThat(out.toString())
                .contains("640 tokens of text.txt at context 64 · 10 latency pairs, interleaved")
                .contains("perplexity", "KL divergence", "time to first token", "original again");
        assertThat(err.toString()).contains("evaluate   640/640", "latency    10/10");
    }

    @Test
    void jsonIsTheWholeOutput() {
        Path reports = folder.resolve("reports");
        assertThat(
                        evaluate(
                                model,
                                other,
                                "--context",
                                "64",
                                "--latency-pairs",
                                "0",
                                "--json",
                                "--output",
                                reports.toString()))
                .isZero();
        Report report = ReportJson.read(out.toString(), "output");
        assertThat(report.variants())
                .extracting(Report.Variant::name)
                .containsExactly("original", "compressed");
        assertThat(ReportFolder.read(reports)).isEqualTo(report);
    }

    @Test
    void missedGateExitsWithThreeAfterTheReport() {
        assertThat(
                        evaluate(
                                model,
                                other,
                                "--context",
                                "64",
                                "--latency-pairs",
                                "0",
                                "--json",
                                "--max-perplexity-ratio",
                                "0.01"))
                .isEqualTo(3);
        assertThat(ReportJson.read(out.toString(), "output").compressed()).hasSize(1);
        assertThat(err.toString()).contains("perplexity ratio").contains("0.01");
    }

    @Test
    void badInputExitsWithTwo() {
        assertThat(evaluate(model, other, "--context", "500")).isEqualTo(2);
        assertThat(evaluate(model, other, "--score", "some")).isEqualTo(2);
        assertThat(evaluate(model, other, "--tokens", "-5")).isEqualTo(2);
        assertThat(evaluate(model, other, "--latency-pairs", "1")).isEqualTo(2);
        assertThat(evaluate(model, other, "--max-perplexity-ratio", "nan")).isEqualTo(2);
        assertThat(evaluate(model, other, "--output", text.toString())).isEqualTo(2);
        assertThat(evaluate(model, folder.resolve("absent"))).isEqualTo(2);
        assertThat(out.toString()).isEmpty();
    }

    @Test
    void severalModelsGoByTheirFoldersNames() {
        int exit =
                run(
                        "evaluate",
                        model.toString(),
                        other.toString(),
                        model.toString(),
                        "--text",
                        text.toString(),
                        "--context",
                        "64",
                        "--latency-pairs",
                        "0",
                        "--json");
        assertThat(exit).isZero();
        assertThat(ReportJson.read(out.toString(), "output").variants())
                .extracting(Report.Variant::name)
                .containsExactly("original", "other", "model");
    }

    private int evaluate(Path original, Path compressed, String... options) {
        String[] arguments = new String[options.length + 5];
        arguments[0] = "evaluate";
        arguments[1] = original.toString();
        arguments[2] = compressed.toString();
        arguments[3] = "--text";
        arguments[4] = text.toString();
        System.arraycopy(options, 0, arguments, 5, options.length);
        return run(arguments);
    }

    private int run(String... arguments) {
        CommandLine commandLine = Main.commandLine();
        commandLine.setOut(new PrintWriter(out));
        commandLine.setErr(new PrintWriter(err));
        return commandLine.execute(arguments);
    }
}
