package dev.lithe.report;

import dev.lithe.report.Comparison.Row;
import dev.lithe.report.Report.Environment;
import dev.lithe.report.Report.Evaluation;
import dev.lithe.report.Report.Variant;
import java.util.List;

/// A report as Markdown: how it was measured, a table per compressed model, percentiles, and where.
public final class ReportMarkdown {
    private ReportMarkdown() {}

    /// The page, ended by a line break.
    public static String of(Report report) {
        var page = new StringBuilder();
        page.append("# ").append(report.model().name()).append(", compressed and measured\n\n");
        addMethod(page, report);
        if (report.compressed().isEmpty()) {
            addTable(page, Comparison.rows(report, null));
        }
        for (Variant variant : report.compressed()) {
            page.append("\n## ").append(variant.name()).append("\n\n");
            if (variant.recipe() != null) {
                page.append("Recipe: `").append(variant.recipe()).append("`\n\n");
            }
            if (variant.compressSeconds() != null) {
                page.append(
                        "Compressed in %s s.\n\n"
                                .formatted(Units.decimal(variant.compressSeconds())));
            }
            if (variant.ratios() != null && variant.ratios().perplexity() == null) {
                page.append(
                        "It splits the text into other tokens than the original. Perplexities, which are by the"
                                + " token, and probabilities cannot be compared; bits per character can.\n\n");
            }
            addTable(page, Comparison.rows(report, variant));
        }
        if (report.evaluation().latency() != null) {
            addPercentiles(page, report);
        }
        addEnvironment(page, report.environment());
        return page.toString();
    }

    private static void addMethod(StringBuilder page, Report report) {
        Evaluation evaluation = report.evaluation();
        page.append(
                "%s, %s parameters, from `%s`.\n\n"
                        .formatted(
                                report.model().architecture(),
                                Units.count(report.model().parameters()),
                                report.model().source()));
        page.append(
                "Text `%s` (sha256 `%s`): %s tokens in %s windows of %s, %s scored (%s). "
                        .formatted(
                                evaluation.text().name(),
                                evaluation.text().sha256(),
                                Units.grouped(evaluation.tokens()),
                                evaluation.windows(),
                                evaluation.context(),
                                Units.grouped(evaluation.scoredTokens()),
                                evaluation.score()));
        page.append(
                "Intervals: paired percentile bootstrap, %s resamples, seed %s.\n"
                        .formatted(evaluation.resamples(), evaluation.seed()));
        if (evaluation.calibrationText() != null) {
            page.append(
                    "\nCalibrated with `%s` (sha256 `%s`).\n"
                            .formatted(
                                    evaluation.calibrationText().name(),
                                    evaluation.calibrationText().sha256()));
        }
        if (evaluation.latency() != null) {
            page.append(
                    "\nLatency: %s pairs in random order, %s prompt and %s output tokens, greedy; medians are compared.\n"
                            .formatted(
                                    evaluation.latency().pairs(),
                                    evaluation.latency().promptTokens(),
                                    evaluation.latency().outputTokens()));
        }
    }

    private static void addTable(StringBuilder page, List<Row> rows) {
        addRow(page, rows.getFirst().cells());
        page.append("|---|---|---|---|---|\n");
        rows.stream().skip(1).forEach(row -> addRow(page, row.cells()));
    }

    private static void addRow(StringBuilder page, List<String> cells) {
        for (String cell : cells) {
            page.append("| ").append(cell.strip().replace("|", "\\|")).append(' ');
        }
        page.append("|\n");
    }

    private static void addPercentiles(StringBuilder page, Report report) {
        page.append("\n## Latency\n\n");
        addRow(
                page,
                List.of(
                        "",
                        "first token p50",
                        "p95",
                        "p99",
                        "per token p50",
                        "p95",
                        "p99",
                        "tokens/s"));
        page.append("|---|---|---|---|---|---|---|---|\n");
        Comparison.percentiles(report).forEach(row -> addRow(page, row));
    }

    private static void addEnvironment(StringBuilder page, Environment environment) {
        page.append(
                "\nMeasured %s by Lithe %s on %s, %s cores, %s threads, %s; Java %s, libtorch %s on %s, %s.\n"
                        .formatted(
                                environment.date(),
                                environment.lithe(),
                                environment.cpu(),
                                environment.cores(),
                                environment.threads(),
                                environment.os(),
                                environment.java(),
                                environment.libtorch(),
                                environment.device(),
                                environment.compute()));
    }
}
