package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.report.Report;
import dev.lithe.report.ReportFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What every stage left is what a recipe that ends there leaves: with `compress --each-stage` all,
/// by default those behind which a whole model was on the disk.
class EachStageTest {
    private static final List<String> STAGES =
            List.of("width_prune:ffn=0.25,multiple_of=16", "rtn:bits=4,group_size=16", "kv_cache");

    private static final double TINY = 1e-9;

    @TempDir private Path folder;

    @Test
    void eachStageIsMeasuredFromItsFolder() throws IOException {
        Path model = TinyModel.small().write(folder.resolve("model"));
        Path text = Files.writeString(folder.resolve("text.txt"), "once upon a time ".repeat(40));
        Path calibration =
                Files.writeString(folder.resolve("calib.txt"), "there was a cat ".repeat(60));
        for (int count = 1; count < STAGES.size(); count++) {
            compress(model, text, calibration, count, "made" + count);
        }
        assertThat(compress(model, text, calibration, 3, "made3", "--each-stage").lines())
                .containsSubsequence(
                        "measure    what width_prune left",
                        "again      rtn",
                        "measure    what rtn left",
                        "measure    what kv_cache left")
                .last()
                .asString()
                .startsWith("evaluate ");
        compress(model, text, calibration, 3, "cheap");
        compress(model, text, calibration, 3, "none", "--no-each-stage");
        List<Report.Stage> stages = stages(3);
        assertThat(stages.stream().map(Report.Stage::name))
                .containsExactly("original", "width_prune", "rtn", "kv_cache");
        assertThat(stages.getFirst())
                .isEqualTo(
                        new Report.Stage("original", ModelSize.of(model).weightBytes(), 1.0, 0.0));
        for (int count = 1; count <= STAGES.size(); count++) {
            Report.Variant alone = compressed(count);
            Report.Stage stage = stages.get(count);
            assertThat(stage.bytesOnDisk()).isEqualTo(alone.bytesOnDisk());
            assertThat(stage.klDivergence()).isCloseTo(alone.klDivergence().mean(), within(TINY));
            assertThat(stage.perplexityRatio())
                    .isCloseTo(alone.ratios().perplexity().value(), within(TINY));
        }
        assertThat(stages(1)).isEmpty();
        assertThat(stages(2)).isEqualTo(stages.subList(0, 3));
        List<Report.Stage> cheap = compressed("cheap").stages();
        assertThat(cheap.subList(0, 2)).isEqualTo(stages.subList(0, 2));
        assertThat(cheap.get(2).name()).isEqualTo("rtn → kv_cache");
        assertThat(cheap.get(2).klDivergence()).isEqualTo(stages.get(3).klDivergence());
        assertThat(cheap).hasSize(3);
        assertThat(compressed("none").stages()).isEmpty();
        String html = Files.readString(folder.resolve("cheap/report.html"));
        assertThat(html)
                .contains("Stage by stage", "aria-label='Size on disk in MB, stage by stage. ")
                .contains("; rtn → kv_cache: ");
        try (var left = Files.list(folder)) {
            assertThat(left.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder(
                            "model",
                            "text.txt",
                            "calib.txt",
                            "made1",
                            "made2",
                            "made3",
                            "cheap",
                            "none");
        }
    }

    private Report.Variant compressed(int count) {
        return compressed("made" + count);
    }

    private Report.Variant compressed(String name) {
        return ReportFolder.read(folder.resolve(name)).compressed().getFirst();
    }

    private List<Report.Stage> stages(int count) {
        return compressed(count).stages();
    }

    private String compress(
            Path model, Path text, Path calibration, int count, String to, String... options) {
        List<Object> arguments = new ArrayList<>(List.of("compress", model));
        STAGES.subList(0, count).forEach(stage -> arguments.addAll(List.of("--stage", stage)));
        arguments.addAll(List.of("--calibration-text", calibration, "--text", text));
        arguments.addAll(List.of("--context", 64, "--latency-pairs", 0));
        arguments.addAll(List.of("-o", folder.resolve(to)));
        arguments.addAll(List.of(options));
        var run = CommandLineRun.of(arguments.toArray());
        assertThat(run.code()).as(run.err()).isZero();
        return run.err();
    }
}
