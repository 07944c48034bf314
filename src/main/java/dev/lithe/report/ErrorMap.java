package dev.lithe.report;

import dev.lithe.report.Report.Layer;
import dev.lithe.report.Report.Variant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// What compression did to each linear, as a table: a row per block, a column per place in it, a
/// row for each linear outside the blocks, and a shade by the logarithm of the relative error.
///
/// @param of what the errors are errors of: `outputs` or `weights`
/// @param columns the linears of a block
record ErrorMap(String of, List<String> columns, List<Row> rows) {
    private static final Pattern LAYER = Pattern.compile(".*\\.(\\d+)\\.(?:.*\\.)?([^.]+)");
    private static final int SHADES = 8;

    /// @param label the block's number, or a linear's name outside the blocks
    /// @param span columns that each cell takes: all of them for the one of such a linear
    record Row(String label, List<Cell> cells, int span) {}

    /// @param shade 0 to 8, darker where more is lost
    /// @param title the form, and what went other than configured
    record Cell(String text, int shade, String title) {}

    /// Of `variant`; null where no error is known.
    static @Nullable ErrorMap of(Variant variant) {
        Map<String, Map<String, Layer>> blocks = new LinkedHashMap<>();
        Set<String> columns = new LinkedHashSet<>();
        List<Layer> outside = new ArrayList<>();
        double least = Double.POSITIVE_INFINITY;
        double most = 0;
        String of = "";
        for (Layer layer : variant.layers()) {
            if (layer.error() == null) {
                continue;
            }
            Matcher name = LAYER.matcher(layer.name());
            if (name.matches()) {
                blocks.computeIfAbsent(name.group(1), _ -> new LinkedHashMap<>())
                        .put(name.group(2), layer);
                columns.add(name.group(2));
            } else {
                outside.add(layer);
            }
            if (layer.error() > 0) {
                least = Math.min(least, layer.error());
                most = Math.max(most, layer.error());
            }
            of = layer.of() == null ? of : layer.of();
        }
        if (blocks.isEmpty()) {
            return null;
        }
        List<Row> rows = new ArrayList<>();
        for (var block : blocks.entrySet()) {
            List<Cell> cells = new ArrayList<>();
            for (String column : columns) {
                cells.add(cell(block.getValue().get(column), least, most));
            }
            rows.add(new Row(block.getKey(), cells, 1));
        }
        for (Layer layer : outside) {
            String name = layer.name().substring(layer.name().lastIndexOf('.') + 1);
            rows.add(new Row(name, List.of(cell(layer, least, most)), columns.size()));
        }
        return new ErrorMap(of, List.copyOf(columns), rows);
    }

    private static Cell cell(@Nullable Layer layer, double least, double most) {
        if (layer == null || layer.error() == null) {
            return new Cell("", 0, "");
        }
        double error = layer.error();
        double share =
                error <= least || most <= least
                        ? 0
                        : Math.log(error / least) / Math.log(most / least);
        String trouble = layer.trouble() == null ? "" : ", " + layer.trouble();
        return new Cell(
                String.format(Locale.ROOT, "%.3f", error),
                (int) Math.round(SHADES * share),
                layer.form() + trouble);
    }
}
