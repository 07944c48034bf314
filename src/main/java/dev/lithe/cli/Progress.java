package dev.lithe.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/// Shows on standard error how far a task is: a moving bar on a terminal, elsewhere one line when
/// the task ends.
interface Progress extends AutoCloseable {
    /// A link to the terminal or file, on Linux.
    Path STANDARD_ERROR = Path.of("/proc/self/fd/2");

    /// `n` more units are done; `extra` is shown behind the bar, and may be empty.
    void advance(long n, String extra);

    /// Ends the task; the bar or line stays on the screen.
    @Override
    void close();

    /// Starts showing a task of `total` units.
    ///
    /// @param err where lines go when standard error is no terminal
    static Progress bar(String task, long total, PrintWriter err) {
        return onTerminal() ? new Bar(task, total, System.err) : new Line(task, total, err);
    }

    /// Java tells about standard input and output only; Linux names what standard error is.
    private static boolean onTerminal() {
        try {
            String target = Files.readSymbolicLink(STANDARD_ERROR).toString();
            return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
        } catch (IOException _) {
            return System.console() != null && System.console().isTerminal();
        }
    }

    /// The moving bar.
    final class Bar implements Progress {
        private static final int UPDATE_MILLIS = 100;
        private static final int TASK_WIDTH = 10;
        private final ProgressBar bar;

        Bar(String task, long total, PrintStream err) {
            this.bar =
                    new ProgressBarBuilder()
                            .setTaskName(String.format("%-" + TASK_WIDTH + "s", task))
                            .setInitialMax(total)
                            .setStyle(ProgressBarStyle.UNICODE_BLOCK)
                            .setUpdateIntervalMillis(UPDATE_MILLIS)
                            .setConsumer(new ConsoleProgressBarConsumer(err))
                            .build();
        }

        @Override
        public void advance(long n, String extra) {
            bar.stepBy(n);
            bar.setExtraMessage(extra);
        }

        @Override
        public void close() {
            bar.close();
        }
    }

    /// One line for logs.
    final class Line implements Progress {
        private final String task;
        private final long total;
        private final PrintWriter err;
        private final long start = System.nanoTime();
        private long done;
        private String extra = "";

        Line(String task, long total, PrintWriter err) {
            this.task = task;
            this.total = total;
            this.err = err;
        }

        @Override
        public void advance(long n, String extra) {
            done += n;
            this.extra = extra;
        }

        @Override
        public void close() {
            err.println(
                    String.format(
                            Locale.ROOT,
                            "%-10s %d/%d%s · %.1f s",
                            task,
                            done,
                            total,
                            extra.isEmpty() ? "" : " " + extra,
                            (System.nanoTime() - start) / 1e9));
            err.flush();
        }
    }
}
