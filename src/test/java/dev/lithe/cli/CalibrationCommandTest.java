package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.report.Report;
import dev.lithe.report.ReportJson;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `compress` with techniques that look at data: which text they see, and who hears of it.
class CalibrationCommandTest {
    private static final String STAGE = "gptq:bits=4,group_size=16,ignore=[lm_head]";

    @TempDir private Path folder;

    private Path model;
    private Path text;
    private Path calibration;

    @BeforeEach
    void write() throws IOException {
        model = TinyModel.small().write(folder.resolve("model"));
        text = Files.writeString(folder.resolve("text.txt"), "once upon a time ".repeat(40));
        calibration = Files.writeString(folder.resolve("calib.txt"), "there was a cat ".repeat(60));
    }

    private CommandLineRun compress(Object... options) {
        return CommandLineRun.of(
                Stream.concat(
                                Stream.of("compress", model, "-o", folder.resolve("made")),
                                Stream.of(options))
                        .toArray());
    }

    @Test
    void theReportNamesBothTexts() throws IOException {
        var run =
                compress(
                        "--stage",
                        STAGE,
                        "--calibration-text",
                        calibration,
                        "--text",
                        text,
                        "--context",
                        "64",
                        "--latency-pairs",
                        "0",
                        "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.err()).contains("calibrate  ", " windows of 128 tokens of calib.txt");
        Report report = ReportJson.read(run.out(), "standard output");
        assertThat(report.evaluation().text().name()).isEqualTo("text.txt");
        assertThat(report.evaluation().calibrationText()).isNotNull();
        assertThat(report.evaluation().calibrationText().name()).isEqualTo("calib.txt");
    }

    @Test
    void theDemosTextServesWhereNoneIsGivenAndNobodyIsAskedWithoutNeed() {
        var calibrated = CommandLineRun.of("compress", "demo", "--recipe", "gptq4", "--dry-run");
        assertThat(calibrated.code()).as(calibrated.err()).isZero();
        assertThat(calibrated.out()).contains("the demo's calibration text", "--calibration-text");
        var free = CommandLineRun.of("compress", "demo", "--recipe", "int4", "--dry-run");
        assertThat(free.out()).doesNotContain("calibrat");
    }

    @Test
    void textsThatCannotServeAreRefusedBeforeTheWork() throws IOException {
        Path few = Files.writeString(folder.resolve("few.txt"), "once");
        Path empty = Files.createFile(folder.resolve("empty.txt"));
        for (var refused :
                List.of(
                        compress("--stage", STAGE, "--calibration-text", text, "--text", text),
                        compress("--stage", STAGE, "--no-evaluate", "--calibration-text", few),
                        compress("--stage", STAGE, "--no-evaluate", "--calibration-text", empty),
                        compress(
                                "--stage", STAGE, "--no-evaluate", "--calibration-text", folder))) {
            assertThat(refused.code()).as(refused.err()).isEqualTo(2);
            assertThat(refused.err()).startsWith("lithe: ").hasLineCount(1);
        }
        assertThat(folder.resolve("made")).doesNotExist();
    }

    @Test
    void fewerTokensThanALinearHasInputsAreSaid() throws IOException {
        Path wide = TinyModel.small().width(32, 320).write(folder.resolve("wide"));
        Path few = Files.writeString(folder.resolve("few.txt"), "a cat ".repeat(50));
        var run =
                CommandLineRun.of(
                        "compress",
                        wide,
                        "--stage",
                        "gptq",
                        "--calibration-text",
                        few,
                        "--dry-run");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out())
                .contains("few        256 calibration tokens for linears of 320 inputs");
        var enough = compress("--stage", STAGE, "--calibration-text", calibration, "--dry-run");
        assertThat(enough.out()).doesNotContain("few  ").contains("needs  ", "time  ");
    }

    @Test
    void activationsThatOverflowNameTheLinearAndLeaveNothing() throws IOException {
        TinyModel tiny = TinyModel.small();
        Map<String, RawTensor> tensors = tiny.tensors();
        float[] huge = new float[48 * 32];
        Arrays.fill(huge, 1e38f);
        tensors.put("model.layers.1.mlp.up_proj.weight", RawTensor.of(DType.F32, huge, 48, 32));
        tiny.write(model, tiny.config(), tensors);
        var run =
                compress(
                        "--stage",
                        "gptq:bits=8,group_size=16,targets=[down_proj]",
                        "--no-evaluate",
                        "--calibration-text",
                        calibration);
        assertThat(run.code()).as(run.err()).isEqualTo(2);
        assertThat(run.err().lines().filter(line -> line.startsWith("lithe: ")))
                .singleElement()
                .asString()
                .contains("model.layers.1.mlp.down_proj", "NaN, infinite or too large");
        assertThat(folder.resolve("made")).doesNotExist();
        assertThat(folder.resolve("made.partial")).doesNotExist();
    }

    @Test
    void theTableHasARowForEachLinearAndTheReportToo() throws IOException {
        var run =
                compress(
                        "--stage",
                        STAGE,
                        "--table",
                        "--calibration-text",
                        calibration,
                        "--text",
                        text,
                        "--context",
                        "64",
                        "--latency-pairs",
                        "0",
                        "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.err().lines().filter(line -> line.matches("block 1 +down_proj .* %.* %")))
                .hasSize(1);
        assertThat(run.err())
                .contains("part       linear", "block 0    0.", " left", "compress   ");
        Report report = ReportJson.read(run.out(), "standard output");
        var layers = report.variants().getLast().layers();
        assertThat(layers).hasSize(16);
        assertThat(layers.get(1).name()).isEqualTo("model.layers.0.self_attn.q_proj");
        assertThat(layers.get(1).of()).isEqualTo("outputs");
        assertThat(layers.get(1).error()).isBetween(0.0, 0.5);
        assertThat(layers.get(1).nearest()).isGreaterThan(layers.get(1).error());
        assertThat(report.variants().getFirst().layers()).isEmpty();
    }
}
