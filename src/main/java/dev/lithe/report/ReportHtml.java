package dev.lithe.report;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import dev.lithe.report.Report.Samples;
import dev.lithe.report.Report.Variant;
import io.quarkus.qute.Engine;
import io.quarkus.qute.HtmlEscaper;
import io.quarkus.qute.RawString;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// A report as one HTML file that needs nothing else: tables, plots drawn as SVG, the models' words
/// side by side, and what it takes to make it again. It is `report.html` among the resources,
/// filled in by Qute; it has no script, and follows the reader's choice of light or dark.
public final class ReportHtml {
    private static final String TEMPLATE = "/report.html";
    private static final String HTML = "text/html";
    private static final JsonMapper JSON = new JsonMapper();
    private static final Engine ENGINE =
            Engine.builder().addDefaults().addResultMapper(new HtmlEscaper(List.of(HTML))).build();

    private ReportHtml() {}

    /// The page.
    public static String of(Report report) {
        return ENGINE.parse(template(), io.quarkus.qute.Variant.forContentType(HTML))
                .data("report", map(report))
                .data("parameters", Units.count(report.model().parameters()))
                .data("columns", columns(report))
                .data("pareto", new RawString(ParetoPlot.of(report.variants())))
                .data("waterfalls", waterfalls(report))
                .data("trainings", trainings(report))
                .data("latencies", latencies(report))
                .data("percentiles", Comparison.percentiles(report))
                .data("errors", errors(report))
                .data("continuations", continuations(report))
                .render();
    }

    private static String template() {
        try (InputStream template = ReportHtml.class.getResourceAsStream(TEMPLATE)) {
            if (template == null) {
                throw new IOException("missing");
            }
            return new String(template.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw LitheException.internal("the report's page cannot be read", e);
        }
    }

    private static Map<String, Object> map(Object object) {
        return JSON.convertValue(object, new TypeReference<Map<String, Object>>() {});
    }

    /// A table per compressed model, or of the original alone: the cells of each row.
    private static List<Map<String, Object>> columns(Report report) {
        List<Map<String, Object>> tables = new ArrayList<>();
        for (Variant variant : report.compressed()) {
            Map<String, Object> table = new HashMap<>();
            table.put("name", variant.name());
            table.put("source", variant.source());
            table.put("recipe", variant.recipe() == null ? "" : variant.recipe());
            table.put(
                    "seconds",
                    variant.compressSeconds() == null
                            ? ""
                            : Units.seconds(variant.compressSeconds()));
            table.put("rows", cells(Comparison.rows(report, variant)));
            tables.add(table);
        }
        if (tables.isEmpty()) {
            Map<String, Object> table = new HashMap<>();
            table.put("name", report.original().name());
            table.put("source", report.original().source());
            table.put("recipe", "");
            table.put("seconds", "");
            table.put("rows", cells(Comparison.rows(report, null)));
            tables.add(table);
        }
        return tables;
    }

    private static List<List<String>> cells(List<Comparison.Row> rows) {
        return rows.stream().map(Comparison.Row::cells).toList();
    }

    private static List<Map<String, Object>> waterfalls(Report report) {
        List<Map<String, Object>> falls = new ArrayList<>();
        for (Variant variant : report.compressed()) {
            if (!variant.stages().isEmpty()) {
                falls.add(
                        Map.of(
                                "name", variant.name(),
                                "bytes", new RawString(Waterfall.size(variant.stages())),
                                "divergence",
                                        new RawString(Waterfall.divergence(variant.stages()))));
            }
        }
        return falls;
    }

    private static List<Map<String, Object>> trainings(Report report) {
        List<Map<String, Object>> plots = new ArrayList<>();
        for (Variant variant : report.compressed()) {
            for (Report.Training training : variant.trainings()) {
                plots.add(
                        Map.of(
                                "name", variant.name(),
                                "stage", training.stage(),
                                "tokens", training.tokensPerStep(),
                                "plot", new RawString(LossPlot.of(training))));
            }
        }
        return plots;
    }

    private static List<RawString> latencies(Report report) {
        boolean known =
                report.variants().stream()
                        .anyMatch(
                                each -> each.latency() != null && each.latency().samples() != null);
        return known
                ? List.of(
                        new RawString(
                                LatencyPlot.of(
                                        report.variants(), "time to first token", Samples::ttftMs)),
                        new RawString(
                                LatencyPlot.of(
                                        report.variants(), "time per token", Samples::tpotMs)))
                : List.of();
    }

    private static List<Map<String, Object>> errors(Report report) {
        List<Map<String, Object>> maps = new ArrayList<>();
        for (Variant variant : report.compressed()) {
            ErrorMap errors = ErrorMap.of(variant);
            if (errors != null) {
                Map<String, Object> map = map(errors);
                map.put("name", variant.name());
                maps.add(map);
            }
        }
        return maps;
    }

    private static List<Map<String, Object>> continuations(Report report) {
        List<Map<String, Object>> maps = new ArrayList<>();
        for (Report.Continuation continuation : report.continuations()) {
            List<List<String>> answers = new ArrayList<>();
            for (int i = 0; i < continuation.texts().size(); i++) {
                answers.add(List.of(report.variants().get(i).name(), continuation.texts().get(i)));
            }
            maps.add(Map.of("prompt", continuation.prompt(), "answers", answers));
        }
        return maps;
    }
}
