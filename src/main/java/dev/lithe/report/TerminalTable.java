package dev.lithe.report;

import dev.lithe.report.Comparison.Row;
import dev.lithe.report.Report.Variant;
import java.util.List;
import java.util.stream.Collectors;

/// A report as aligned columns for a terminal: one block per compressed model, each beside the
/// original.
public final class TerminalTable {
    private static final String GAP = "   ";

    private TerminalTable() {}

    /// The table, lines separated and ended by line breaks.
    public static String of(Report report) {
        if (report.compressed().isEmpty()) {
            return render(Comparison.rows(report, null));
        }
        return report.compressed().stream()
                .map((Variant variant) -> render(Comparison.rows(report, variant)))
                .collect(Collectors.joining("\n"));
    }

    /// One line on how it was measured: `8 192 tokens at context 256 · 20 latency pairs,
    /// interleaved`.
    public static String summary(Report.Evaluation evaluation) {
        String tokens =
                Units.grouped(evaluation.tokens())
                        + " tokens of "
                        + evaluation.text().name()
                        + " at context "
                        + evaluation.context();
        return evaluation.latency() == null
                ? tokens
                : tokens + " · " + evaluation.latency().pairs() + " latency pairs, interleaved";
    }

    private static String render(List<Row> rows) {
        int columns = rows.getFirst().cells().size();
        int[] widths = new int[columns];
        for (Row row : rows) {
            for (int i = 0; i < columns; i++) {
                widths[i] = Math.max(widths[i], row.cells().get(i).length());
            }
        }
        var text = new StringBuilder();
        for (Row row : rows) {
            var line = new StringBuilder();
            for (int i = 0; i < columns; i++) {
                String cell = row.cells().get(i);
                line.append(cell).repeat(' ', widths[i] - cell.length()).append(GAP);
            }
            text.append(line.toString().stripTrailing()).append('\n');
        }
        return text.toString();
    }
}
