package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.report.Report;
import dev.lithe.report.ReportJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
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
}
