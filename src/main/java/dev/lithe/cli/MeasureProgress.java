package dev.lithe.cli;

import dev.lithe.evaluate.ProgressListener;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/// Shows a measurement's tasks, one bar after the other.
final class MeasureProgress implements ProgressListener, AutoCloseable {
    private final PrintWriter err;
    private @Nullable Progress bar;
    private String task = "";
    private long done;

    MeasureProgress(PrintWriter err) {
        this.err = err;
    }

    @Override
    public void update(String task, long done, long total) {
        if (bar == null || !task.equals(this.task)) {
            close();
            this.task = task;
            this.done = 0;
            bar = Progress.bar(task, total, err);
        }
        bar.advance(done - this.done, "");
        this.done = done;
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
    }
}
