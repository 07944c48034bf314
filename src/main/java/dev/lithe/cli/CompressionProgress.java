package dev.lithe.cli;

import dev.lithe.compress.Compressor;
import dev.lithe.compress.LayerResult;
import dev.lithe.compress.Plan;
import dev.lithe.report.Units;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Shows on standard error how far a compression is: a bar with the time left, or, where the user
/// wants it, a table with a row for each linear, part by part.
final class CompressionProgress implements Compressor.Listener, AutoCloseable {
    private static final String ROW = "%-10s %-10s %-34s %9s %9s  %s";
    private static final double NANOS_PER_SECOND = 1e9;

    private final PrintWriter err;
    private final @Nullable Progress bar;
    private final List<String> troubles = new ArrayList<>();
    private final long total;
    private final long start = System.nanoTime();
    private double secondsBefore;
    private long before;
    private long done;
    private String part = "";
    private double partSeconds;

    /// @param table whether to print the table instead of the bar
    CompressionProgress(Plan plan, boolean table, PrintWriter err) {
        this.err = err;
        this.total = plan.weights();
        this.bar = table ? null : Progress.bar("compress", plan.linears().size(), err);
        if (table) {
            say(ROW, "part", "linear", "form", "error", "nearest", "");
        }
    }

    @Override
    public void progress(long weights, long of, String module) {
        done = weights;
        if (part.isEmpty()) {
            before = weights; // an earlier run did it
        }
        if (bar != null) {
            bar.advance(1, "linears");
        }
    }

    @Override
    public void finished(String label, List<LayerResult> layers, double seconds) {
        tellOfPart();
        part = label;
        partSeconds = seconds;
        for (LayerResult layer : layers) {
            String linear = layer.module().substring(layer.module().lastIndexOf('.') + 1);
            String trouble = layer.trouble() == null ? "" : layer.trouble();
            if (layer.trouble() != null) {
                troubles.add(layer.module() + ": " + trouble);
            }
            if (bar == null) {
                String error = percent(layer.error());
                say(ROW, label, linear, layer.form(), error, percent(layer.nearest()), trouble);
            }
        }
    }

    private static String percent(@Nullable Double share) {
        return share == null ? "" : String.format(Locale.ROOT, "%.2f %%", 100 * share);
    }

    /// Of the part before: only now its linears are counted.
    private void tellOfPart() {
        if (bar != null || part.isEmpty()) {
            return;
        }
        long now = done - before;
        double left = now == 0 ? 0 : elapsed() * (total - done) / now;
        say(
                "%-10s %s · %.0f %% · about %s left",
                part, Units.seconds(partSeconds), 100.0 * done / total, Units.seconds(left));
    }

    @Override
    public void resumed(int parts, int of, double seconds) {
        secondsBefore = seconds;
        say("resume     %d of %d parts done before", parts, of);
    }

    @Override
    public void startedAnew(String different) {
        say("anew       an unfinished run was left here, but %s changed", different);
    }

    private void say(String format, Object... values) {
        err.println(String.format(Locale.ROOT, format, values).stripTrailing());
        err.flush();
    }

    private double elapsed() {
        return (System.nanoTime() - start) / NANOS_PER_SECOND;
    }

    /// Seconds of an earlier run that was cut off.
    double earlierSeconds() {
        return secondsBefore;
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            troubles.forEach(trouble -> say("trouble    %s", trouble));
        } else if (done == total) {
            say("compress   %.1f s", elapsed());
        }
    }
}
