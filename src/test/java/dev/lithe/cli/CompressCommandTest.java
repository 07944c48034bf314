package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.report.Report;
import dev.lithe.report.ReportFolder;
import dev.lithe.report.ReportJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `compress` and `run` without a server: what they print, where, and with which exit code.
class CompressCommandTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");

    @TempDir private Path folder;

    private Path model;
    private Path made;
    private Path text;

    @BeforeEach
    void write() throws IOException {
        model = TinyModel.small().write(folder.resolve("model"));
        made = folder.resolve("made");
        text = Files.writeString(folder.resolve("text.txt"), "once upon a time ".repeat(40));
    }

    private CommandLineRun compress(Object... options) {
        return CommandLineRun.of(
                Stream.concat(Stream.of("compress", model, "-o", made), Stream.of(options))
                        .toArray());
    }

    private static void refused(CommandLineRun run, String... parts) {
        assertThat(run.code()).as(run.err()).isEqualTo(2);
        assertThat(run.out()).isEmpty();
        assertThat(run.err()).startsWith("lithe: ").hasLineCount(1).contains(List.of(parts));
    }

    private void nothingIsMade() throws IOException {
        try (var files = Files.list(folder)) {
            assertThat(files).containsExactlyInAnyOrder(model, text);
        }
    }

    @Test
    void aDryRunWritesNothing() throws IOException {
        var run = compress("--dry-run");
        assertThat(run.code()).isZero();
        assertThat(run.err()).isEmpty();
        assertThat(run.out()).contains("plan       cast → rtn → rtn", "12 × int4").hasLineCount(4);
        assertThat(CommandLineRun.of("compress", model, "--dry-run").code()).isZero();
        assertThat(Path.of("model-int4")).doesNotExist();
        var demo = CommandLineRun.of("compress", "demo", "--dry-run", "--recipe", "int8");
        assertThat(demo.code()).isZero();
        assertThat(demo.out()).contains("demo · llama");
        assertThat(Path.of("demo-int8")).doesNotExist();
        nothingIsMade();
    }

    @Test
    void anOldResultIsReplacedWhenForced() throws IOException {
        var first = compress("--no-evaluate", "--recipe", "int8");
        assertThat(first.code()).as(first.err()).isZero();
        assertThat(first.out()).isEmpty();
        assertThat(first.err()).contains("compress   16/16", "written    " + made);
        byte[] before = Files.readAllBytes(made.resolve("lithe.json"));
        refused(compress("--no-evaluate"), "exists", "--force");
        refused(compress(), "exists", "--force");
        assertThat(Files.readAllBytes(made.resolve("lithe.json"))).isEqualTo(before);
        assertThat(compress("--no-evaluate", "--force").code()).isZero();
        assertThat(Files.readAllBytes(made.resolve("lithe.json"))).isNotEqualTo(before);
    }

    @Test
    void foldersOfOthersAreNeverReplaced() throws IOException {
        Files.createDirectory(made);
        Path precious = Files.writeString(made.resolve("precious.txt"), "mine");
        refused(compress("--no-evaluate", "--force"), "was not written by Lithe");
        refused(compress("--force", "--text", text), "was not written by Lithe");
        assertThat(precious).hasContent("mine");
    }

    @Test
    void theModelIsNeverReplacedByItsCopy() {
        assertThat(compress("--no-evaluate").code()).isZero();
        refused(
                CommandLineRun.of(
                        "compress",
                        made,
                        "--stage",
                        "cast",
                        "--force",
                        "--no-evaluate",
                        "-o",
                        folder.resolve("./made")),
                "is the model to compress");
    }

    @Test
    void stagesAreNotMeasuredWhereNothingIs() {
        refused(compress("--each-stage", "--no-evaluate"), "--each-stage measures, and");
        assertThat(made).doesNotExist();
        assertThat(compress("--no-each-stage", "--no-evaluate").code()).isZero();
    }

    @Test
    void theReportIsPrintedAndLeftInTheFolder() {
        var run = compress("--text", text, "--context", "64", "--latency-pairs", "0");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(run.out()).contains("perplexity", "original", "compressed");
        assertThat(run.err()).contains("plan  ", "compress   16/16", "written", "evaluate   640");
        assertThat(ReportFolder.read(made).compressed()).hasSize(1);
    }

    @Test
    void jsonIsTheWholeOutput() {
        var run = compress("--text", text, "--context", "64", "--latency-pairs", "0", "--json");
        assertThat(run.code()).as(run.err()).isZero();
        assertThat(ReportJson.read(run.out(), "output")).isEqualTo(ReportFolder.read(made));
    }

    @Test
    void theGateClosesAfterTheReport() {
        var run =
                compress(
                        "--text",
                        text,
                        "--context",
                        "64",
                        "--latency-pairs",
                        "0",
                        "--max-perplexity-ratio",
                        "0.5");
        assertThat(run.code()).isEqualTo(3);
        assertThat(run.out()).contains("perplexity");
        assertThat(run.err().lines().toList().getLast()).startsWith("lithe: ").contains("0.5");
        assertThat(made).isDirectory();
    }

    @Test
    void whatIsWrongIsFoundBeforeTheWork() throws IOException {
        refused(compress("--text", folder.resolve("absent.txt")), "absent.txt");
        refused(compress("--max-perplexity-ratio", "-1"), "-1");
        refused(compress("--text", text, "--tokens", "1"), "1 tokens");
        refused(compress("--text", text, "--context", "500"), "context 500", "2 to 128");
        refused(compress("--text", text, "--context", "64", "--tokens", "63"), "a window takes 64");
        Path brief = Files.writeString(text.resolveSibling("text.txt"), "once");
        refused(compress("--text", brief, "--context", "64"), "the text has 4 tokens");
        refused(compress("--recipe", "int5"), "'int5' is neither", "int8, int4");
        refused(compress("--stage", "rtm:bits=4"), "did you mean 'rtn'?");
        refused(compress("--stage", "rtn:bits=4.5"), "bits: 4.5");
        refused(
                compress("--no-evaluate", "--stage", "rtn:targets=[q_prj]"),
                "'q_prj' names no linear");
        refused(compress("--dry-run", "--stage", "rtn", "--stage", "rtn"), "already int4");
        refused(CommandLineRun.of("compress", "no-such-model", "-o", made), "no-such-model");
        refused(CommandLineRun.of("run", "no-such-model", "-o", made), "no-such-model");
        refused(CommandLineRun.of("run", model, "-o", made, "--port", "70000"), "70000");
        nothingIsMade();
    }

    @Test
    void optionsThatAreNotThere() throws IOException {
        for (CommandLineRun run :
                List.of(
                        compress("--no-such-option"),
                        compress("--recipe", "int4", "--stage", "rtn"),
                        compress("--tokens", "many"),
                        compress("surplus"),
                        CommandLineRun.of("compress"),
                        CommandLineRun.of("run", "--no-serve"),
                        CommandLineRun.of("no-such-command"))) {
            assertThat(run.code()).as(run.err()).isEqualTo(2);
            assertThat(run.out()).isEmpty();
            assertThat(run.err()).isNotBlank().doesNotContain("\tat ");
        }
        nothingIsMade();
    }

    @Test
    void stagesOnTheCommandLine() throws IOException {
        var run =
                compress(
                        "--no-evaluate",
                        "--stage",
                        "cast:dtype=bfloat16",
                        "--stage",
                        "rtn:bits=3,group_size=16,ignore=[lm_head;re:.*down_proj]");
        assertThat(run.code()).as(run.err()).isZero();
        try (var checkpoint = Checkpoint.open(made)) {
            assertThat(checkpoint.json("lithe.json").path("linears").findValuesAsText("lm_head"))
                    .containsExactly("bfloat16");
        }
    }

    @Test
    void runOnTheDemoPrintsTheReportAlone() {
        var run =
                CommandLineRun.of(
                        "run",
                        "demo",
                        "--no-serve",
                        "--json",
                        "--latency-pairs",
                        "0",
                        "--tokens",
                        "2048",
                        "-o",
                        made);
        assertThat(run.code()).as(run.err()).isZero();
        Report report = ReportJson.read(run.out(), "output");
        assertThat(report.variants())
                .extracting(Report.Variant::name)
                .containsExactly("original", "compressed");
        assertThat(report.variants().getLast().bytesOnDisk())
                .isLessThan(report.variants().getFirst().bytesOnDisk() / 2);
        assertThat(run.err()).contains("plan", "compress   44/44", "written");
        assertThat(DEMO.resolve("lithe.json")).doesNotExist();
    }
}
