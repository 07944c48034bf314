package dev.lithe.report;

import dev.lithe.report.Report.Ratio;
import dev.lithe.report.Report.Ratios;
import dev.lithe.report.Report.Variant;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// The rows of a table that sets one compressed model beside the original, as text without layout.
final class Comparison {
    private static final String ABSENT = "-";
    private static final int FINE = 3;
    private static final int COARSE = 2;

    private final Report report;
    private final Variant original;
    private final @Nullable Variant compressed;
    private final List<Row> rows = new ArrayList<>();

    private Comparison(Report report, @Nullable Variant compressed) {
        this.report = report;
        this.original = report.original();
        this.compressed = compressed;
    }

    /// One row: the cells may be empty.
    record Row(String label, String original, String compressed, String ratio, String verdict) {
        List<String> cells() {
            return List.of(label, original, compressed, ratio, verdict);
        }
    }

    /// The rows for one compressed model, or for the original alone; the first holds the headings.
    static List<Row> rows(Report report, @Nullable Variant compressed) {
        var comparison = new Comparison(report, compressed);
        comparison.addAll();
        return comparison.rows;
    }

    /// Rows of a table of times: a variant, percentiles of its time to first token and per token,
    /// and tokens per second.
    static List<List<String>> percentiles(Report report) {
        List<List<String>> rows = new ArrayList<>();
        for (Variant variant : report.variants()) {
            Report.Latency latency = variant.latency();
            if (latency != null) {
                rows.add(
                        List.of(
                                variant.name(),
                                Units.millis(latency.ttftMs().p50()),
                                Units.millis(latency.ttftMs().p95()),
                                Units.millis(latency.ttftMs().p99()),
                                Units.millis(latency.tpotMs().p50()),
                                Units.millis(latency.tpotMs().p95()),
                                Units.millis(latency.tpotMs().p99()),
                                Units.grouped(Math.round(latency.tokensPerSecond()))));
            }
        }
        return rows;
    }

    private void addAll() {
        rows.add(
                new Row(
                        "",
                        original.name(),
                        compressed == null ? "" : compressed.name(),
                        compressed == null ? "" : "ratio [95 % interval]",
                        ""));
        Ratios ratios = compressed == null ? null : compressed.ratios();
        add(
                "size on disk",
                variant -> Units.bytes(variant.bytesOnDisk()),
                ratios == null ? null : ratios.bytesOnDisk(),
                COARSE);
        add("bits per weight", variant -> Units.decimal(variant.bitsPerWeight()), null, COARSE);
        add("memory", variant -> Units.bytes(variant.memoryBytes()), null, COARSE);
        if (compressed != null && compressed.kvBytesPerToken() != original.kvBytesPerToken()) {
            addCache(compressed);
        }
        add(
                "perplexity",
                variant -> Units.perplexity(variant.perplexity().value()),
                ratios == null ? null : ratios.perplexity(),
                FINE);
        if (ratios != null && ratios.perplexity() == null) {
            Row last = rows.removeLast();
            rows.add(new Row(last.label(), last.original(), last.compressed(), "", "other tokens"));
            add("bits per character", Comparison::bits, ratios.bitsPerCharacter(), FINE);
        }
        if (compressed != null) {
            add("KL divergence", Comparison::divergence, null, COARSE);
            add("same top token", Comparison::sameTop, null, COARSE);
        }
        if (report.evaluation().latency() != null) {
            addTimes(report.evaluation().latency().noise(), ratios);
        }
    }

    private void addCache(Variant other) {
        double ratio = (double) other.kvBytesPerToken() / original.kvBytesPerToken();
        add(
                "cache per token",
                variant -> Units.bytes(variant.kvBytesPerToken()),
                new Ratio(ratio, null, null, null),
                COARSE);
    }

    private void addTimes(Report.Noise noise, @Nullable Ratios ratios) {
        add(
                "time to first token",
                variant ->
                        variant.latency() == null
                                ? ABSENT
                                : Units.millis(variant.latency().ttftMs().p50()),
                ratios == null ? null : ratios.ttft(),
                COARSE);
        addNoise(noise.ttft());
        add(
                "time per token",
                variant ->
                        variant.latency() == null
                                ? ABSENT
                                : Units.millis(variant.latency().tpotMs().p50()),
                ratios == null ? null : ratios.tpot(),
                COARSE);
        addNoise(noise.tpot());
    }

    private void addNoise(Ratio noise) {
        rows.add(new Row("  original again", "", "", text(noise, COARSE), verdict(noise)));
    }

    private void add(
            String label, Function<Variant, String> cell, @Nullable Ratio ratio, int digits) {
        rows.add(
                new Row(
                        label,
                        cell.apply(original),
                        compressed == null ? "" : cell.apply(compressed),
                        ratio == null ? "" : text(ratio, digits),
                        ratio == null ? "" : verdict(ratio)));
    }

    private static String bits(Variant variant) {
        return variant.bitsPerCharacter() == null
                ? ABSENT
                : Units.ratio(variant.bitsPerCharacter().value(), FINE);
    }

    private static String divergence(Variant variant) {
        return variant.klDivergence() == null
                ? ABSENT
                : Units.divergence(variant.klDivergence().mean());
    }

    private static String sameTop(Variant variant) {
        return variant.sameTop() == null ? ABSENT : Units.percent(variant.sameTop());
    }

    private static String text(Ratio ratio, int digits) {
        String value = Units.ratio(ratio.value(), digits);
        if (ratio.low() == null || ratio.high() == null) {
            return value;
        }
        return value
                + " ["
                + Units.ratio(ratio.low(), digits)
                + ", "
                + Units.ratio(ratio.high(), digits)
                + "]";
    }

    private static String verdict(Ratio ratio) {
        return ratio.verdict() == null ? "" : ratio.verdict();
    }
}
