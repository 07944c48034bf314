package dev.lithe.cli;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.Workbench.StepListener;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Pipeline;
import dev.lithe.report.Units;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/// Shows on standard error how far a recipe is, leg by leg.
final class PipelineProgress implements Pipeline.Listener, AutoCloseable {
    private static final double NANOS_PER_SECOND = 1e9;

    /// How often a long stage tells of itself where there is no moving bar.
    private static final int TIMES = 20;

    private final boolean table;
    private final PrintWriter err;
    private final Consumer<List<Pipeline.Made>> beforeLast;
    private final long start = System.nanoTime();
    private double secondsBefore;
    private long listened;
    private long legStart;
    private @Nullable CompressionProgress linears;
    private @Nullable Progress allocation;
    private @Nullable Progress steps;
    private int stepsDone;

    /// @param table whether to print a row for each linear instead of a bar
    /// @param beforeLast hears of the legs before the last one begins; its time is not counted
    PipelineProgress(boolean table, PrintWriter err, Consumer<List<Pipeline.Made>> beforeLast) {
        this.table = table;
        this.err = err;
        this.beforeLast = beforeLast;
    }

    @Override
    public Compressor.Listener begins(
            Pipeline.Leg leg, Checkpoint source, @Nullable CalibrationSet calibration) {
        legStart = System.nanoTime();
        if (leg.whole()) {
            return (_, _, _) -> {};
        }
        linears = new CompressionProgress(leg.plan(), table, err);
        return linears;
    }

    @Override
    public LongConsumer allocates(Pipeline.Leg leg) {
        Progress bar = Progress.bar("allocate", leg.plan().linears().size(), err);
        allocation = bar;
        return n -> bar.advance(n, "linears");
    }

    @Override
    public StepListener steps(Pipeline.Leg leg) {
        return (done, of, note) -> {
            if (steps == null) {
                steps = Progress.bar(leg.recipe().summary(), of, err);
                stepsDone = 0;
            }
            steps.advance(done - stepsDone, note);
            stepsDone = done;
            if (table && (done % Math.max(1, of / TIMES) == 0 || done == of)) {
                err.println("step       " + done + "/" + of + " " + note);
                err.flush();
            }
        };
    }

    @Override
    public void ended(Pipeline.Leg leg, boolean earlier) {
        if (linears != null) {
            secondsBefore += linears.earlierSeconds();
        }
        closeBars();
        if (earlier || leg.whole()) {
            double seconds = (System.nanoTime() - legStart) / NANOS_PER_SECOND;
            err.printf(
                    Locale.ROOT,
                    "stage      %s · %s%n",
                    leg.recipe().summary(),
                    earlier ? "done by an earlier run" : Units.seconds(seconds));
            err.flush();
        }
    }

    @Override
    public void beforeLast(List<Pipeline.Made> legs) {
        long begun = System.nanoTime();
        beforeLast.accept(legs);
        listened = System.nanoTime() - begun;
    }

    /// Seconds of the work so far, those of earlier runs that were cut off included.
    double seconds() {
        return secondsBefore + (System.nanoTime() - start - listened) / NANOS_PER_SECOND;
    }

    private void closeBars() {
        if (steps != null) {
            steps.close();
            steps = null;
        }
        if (allocation != null) {
            allocation.close();
            allocation = null;
        }
        if (linears != null) {
            linears.close();
            linears = null;
        }
    }

    @Override
    public void close() {
        closeBars();
    }
}
