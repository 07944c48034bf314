package dev.lithe.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Every form of a report against a file that a person has read.
class ReportFormsTest {
    private static final Path GOLDEN = Path.of("src/test/resources/report");

    @TempDir private Path folder;

    @Test
    void jsonFieldsAreAContract() throws IOException {
        String expected = Files.readString(GOLDEN.resolve("report.json"));
        assertThat(ReportJson.write(SampleReport.complete())).isEqualToIgnoringNewLines(expected);
    }

    @Test
    void jsonReadsBack() {
        for (Report report : new Report[] {SampleReport.complete(), SampleReport.alone()}) {
            assertThat(ReportJson.read(ReportJson.write(report), "here")).isEqualTo(report);
        }
    }

    @Test
    void fieldsOfLaterVersionsAreIgnored() {
        String json = ReportJson.write(SampleReport.alone());
        String later = json.replaceFirst("\\{", "{\"news\": {\"a\": 1},");
        assertThat(ReportJson.read(later, "here")).isEqualTo(SampleReport.alone());
    }

    @Test
    void whatIsNoReportIsRefused() {
        String other = ReportJson.write(SampleReport.alone()).replace("report/v1", "report/v9");
        assertThatThrownBy(() -> ReportJson.read(other, "a.json"))
                .hasMessageContaining("a.json")
                .hasMessageContaining("lithe.report/v9")
                .hasMessageContaining("lithe.report/v1")
                .hasMessageNotContaining("\n");
        assertThatThrownBy(() -> ReportJson.read("{}", "a.json")).hasMessageContaining("a.json");
        assertThatThrownBy(() -> ReportJson.read("null", "a.json")).hasMessageContaining("a.json");
        assertThatThrownBy(() -> ReportJson.read("so?", "a.json")).hasMessageContaining("no JSON");
    }

    @Test
    void tableIsAligned() throws IOException {
        assertThat(TerminalTable.of(SampleReport.complete()))
                .isEqualTo(Files.readString(GOLDEN.resolve("table.txt")));
        assertThat(TerminalTable.of(SampleReport.alone()))
                .isEqualTo(Files.readString(GOLDEN.resolve("table-alone.txt")));
        assertThat(TerminalTable.summary(SampleReport.complete().evaluation()))
                .isEqualTo(
                        "8 192 tokens of held-out.txt at context 256 · 20 latency pairs, interleaved");
    }

    @Test
    void markdownTellsHowItWasMeasured() throws IOException {
        assertThat(ReportMarkdown.of(SampleReport.complete()))
                .isEqualTo(Files.readString(GOLDEN.resolve("report.md")));
    }

    @Test
    void thePageNeedsNothingElseAndTellsAll() {
        String page = ReportHtml.of(SampleReport.complete());
        assertThat(page)
                .doesNotContain("http:", "https:", "src=", "href=", "<script", "@import", "url(")
                .doesNotContain("NOT_FOUND", "{report", "{#")
                .contains("Once &lt;upon&gt; …", "a time &amp; a half")
                .contains("<th scope=\"row\">size on disk</th><td>14.4 MB</td><td>4.61 MB</td>")
                .contains("1.013 [1.011, 1.015]", "gptq:bits=4,group_size=64", "Some Processor")
                .contains("compressed: 4.61 MB, perplexity ratio 1.013")
                .contains("compressed: median 4.400 ms", "compressed: median 2.200 ms")
                .contains("title=\"int4 group 64\">0.061</td>");
        assertThat(page.split("<svg ", -1))
                .as("size and quality, two falls, a training, two latencies")
                .hasSize(7);
        assertThat(page.split("role='img' aria-label='", -1)).hasSize(7);
        assertThat(page)
                .contains("Loss of heal by step. Held out: from 0.5000 to 0.2000")
                .contains("<title>step 20: 0.2000</title>", "2048 tokens a step")
                .contains("original: 14.43; depth_prune: 12.00; gptq: 4.61")
                .contains(
                        "original: 0.00, × 1.000; depth_prune: 3.10, × 1.009; gptq: 6.20, × 1.013");
    }

    @Test
    void thePageLeavesOutWhatWasNotMeasured() {
        assertThat(ReportHtml.of(SampleReport.alone()))
                .doesNotContain("NOT_FOUND", "<svg", "Latency", "Percentiles", "continued", "lost")
                .contains("<td>14.4 MB</td>");
    }

    @Test
    void aFolderHoldsAllForms() {
        Path target = folder.resolve("new/reports");
        ReportFolder.prepare(target);
        ReportFolder.write(SampleReport.alone(), target);
        ReportFolder.write(SampleReport.complete(), target);
        assertThat(ReportFolder.read(target)).isEqualTo(SampleReport.complete());
        assertThat(target)
                .isDirectoryNotContaining(path -> path.toString().endsWith(".partial"))
                .isDirectoryContaining("glob:**/report.md");
    }

    @Test
    void aPlaceThatCannotHoldAReportIsRefused() throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        assertThatThrownBy(() -> ReportFolder.prepare(file)).hasMessageContaining("--output");
        assertThatThrownBy(() -> ReportFolder.read(folder)).hasMessageContaining("report.json");
    }
}
