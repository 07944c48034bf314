package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SearchCommandTest {
    @TempDir private Path folder;

    private Path model;

    @BeforeEach
    void write() throws IOException {
        model = TinyModel.small().write(folder.resolve("model"));
        Files.writeString(folder.resolve("calibration.txt"), "there was a cat\n".repeat(90));
        Files.writeString(folder.resolve("evaluation.txt"), "once upon a time ".repeat(40));
        Files.writeString(
                folder.resolve("space.yaml"),
                """
                shape: [{}]
                heal: [{}]
                prepare: [{}]
                quantizer: [{rtn: {}}]
                width: [{bits: 8, group_size: 16}, {bits: 4, group_size: 16}, {bits: 2, group_size: 16}]
                scope: [{targets: ["re:.*"]}]
                rest: [{}]
                """);
    }

    private CommandLineRun search(Object... options) {
        List<Object> arguments = new ArrayList<>(List.of("search", model));
        arguments.addAll(List.of("--calibration-text", folder.resolve("calibration.txt")));
        arguments.addAll(List.of("--text", folder.resolve("evaluation.txt"), "--context", 64));
        arguments.addAll(List.of("--latency-pairs", 10, "--max-candidates", 3));
        arguments.addAll(List.of("--space", folder.resolve("space.yaml")));
        arguments.addAll(List.of("-o", folder.resolve("found")));
        arguments.addAll(List.of(options));
        return CommandLineRun.of(arguments.toArray());
    }

    @Test
    void theFrontIsPrinted() throws IOException {
        var run = search("--max-bytes", "60%", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        var found = new JsonMapper().readTree(run.out());
        assertThat(found.path("within_limits").asBoolean()).isTrue();
        assertThat(found.path("front")).isNotEmpty();
        assertThat(found.at("/winner/bytes_ratio").asDouble()).isLessThan(0.6);
        assertThat(found.at("/winner/tpot_ms").asDouble()).isPositive();
        assertThat(folder.resolve("found/report.html")).exists();
        var again = search("--max-bytes", "60%");
        assertThat(again.out()).contains("winner     ", "recipe     ", "plot       ");
    }

    @Test
    void finalistsAreMeasuredOnMoreTokens() {
        assertThat(CommandLineRun.of("search", "--help").out()).contains("(default: 32768)");
        for (String other : List.of("run", "compress", "evaluate")) {
            assertThat(CommandLineRun.of(other, "--help").out()).contains("(default: 8192)");
        }
    }

    @Test
    void workersSayWhichTheyAre() {
        var run = search("--workers", "3");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("--workers 3 needs --worker, ", "from 0 to 2");
        run = search("--workers", "3", "--worker", "3");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("worker 3 of 3; they are numbered 0 to 2");
        run = search("--workers", "0");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("0 workers; choose 1 to 1000");
        run = search("--worker", "-1");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("worker -1 of 1");
        String[] job = {"search", "/models/m", "--on", "kubernetes", "--output", "/models/s"};
        for (String wrong :
                List.of(
                        "--max-bytes=much",
                        "--max-bytes=0",
                        "--max-bytes=0.0%",
                        "--max-bytes=-40%",
                        "--max-bytes=100.1%",
                        "--max-perplexity-ratio=0",
                        "--min-speedup=-1",
                        "--min-speedup=NaN",
                        "--tokens=1",
                        "--context=1",
                        "--score=x",
                        "--latency-pairs=1",
                        "--max-candidates=0",
                        "--budget=x",
                        "--prefer=x",
                        "--output=models/s")) {
            List<Object> arguments = new ArrayList<>(List.of((Object[]) job));
            arguments.removeIf(each -> wrong.startsWith("--output") && each.equals("--output"));
            arguments.removeIf(each -> wrong.startsWith("--output") && each.equals("/models/s"));
            arguments.add(wrong);
            run = CommandLineRun.of(arguments.toArray());
            assertThat(run.code()).as(wrong).isEqualTo(2);
            assertThat(run.out()).isEmpty();
            String option = wrong.substring(2, wrong.indexOf('='));
            assertThat(run.err().replace(' ', '-')).hasLineCount(1).contains(option);
        }
        run = search("--on", "mars");
        assertThat(run.code()).isEqualTo(2);
        assertThat(run.err()).contains("--on mars; only kubernetes is known");
    }

    @Test
    void limitsThatNothingKeepsEndWithThree() {
        var run = search("--max-bytes", "100");
        assertThat(run.code()).as(run.err()).isEqualTo(3);
        assertThat(run.err()).contains("no recipe keeps the limits; the nearest, ");
        assertThat(run.out()).contains("nearest    ");
    }

    @Test
    void whatCannotBeAskedForIsRefused() throws IOException {
        assertRefused("--max-bytes 1e6; write whole bytes", "--max-bytes", "1e6");
        assertRefused("--budget 20; write for example 90s", "--budget", "20");
        assertRefused("--prefer size; it is quality", "--prefer", "size");
        assertRefused("--min-speedup -1.0; it must be a number above 0", "--min-speedup", "-1");
        assertRefused("'shape' is no list", "--space", folder.resolve("evaluation.txt"));
        Path missing = folder.resolve("none.yaml");
        assertRefused("--space " + missing + " does not exist", "--space", missing);
        assertRefused("--space " + folder + " is no file that can be read", "--space", folder);
        Files.writeString(missing, "null");
        assertRefused("'shape' is no list", "--space", missing);
        assertThat(folder.resolve("refused")).doesNotExist();
    }

    private void assertRefused(String reason, Object... options) {
        List<Object> arguments = new ArrayList<>(List.of("search", model, "--max-candidates", 3));
        arguments.addAll(List.of("-o", folder.resolve("refused"), "--latency-pairs", 0));
        arguments.addAll(List.of("--text", folder.resolve("evaluation.txt"), "--context", 64));
        arguments.addAll(List.of("--calibration-text", folder.resolve("calibration.txt")));
        arguments.addAll(List.of(options));
        var run = CommandLineRun.of(arguments.toArray());
        assertThat(run.err()).contains(reason);
        assertThat(run.code()).isEqualTo(2);
    }
}
