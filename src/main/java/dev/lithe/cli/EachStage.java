package dev.lithe.cli;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.Recipe;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Report;
import dev.lithe.report.StageMeasurement;
import dev.lithe.report.Units;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Measures what the stages of a recipe left, each from its folder. Behind a leg there is one; for
/// a stage within a leg, the leg is carried out once more up to there.
final class EachStage implements Consumer<List<Pipeline.Made>> {
    private static final double NANOS_PER_SECOND = 1e9;

    private final Path original;
    private final MeasureOptions options;
    private final @Nullable Boolean wanted;
    private final PrintWriter err;
    private final List<Report.Stage> measured = new ArrayList<>();

    /// @param original the folder that the first leg reads
    /// @param wanted whether to measure after every stage; null for what costs little
    EachStage(Path original, MeasureOptions options, @Nullable Boolean wanted, PrintWriter err) {
        this.original = original;
        this.options = options;
        this.wanted = wanted;
        this.err = err;
    }

    /// The original first; nothing where nothing is between it and the result.
    List<Report.Stage> measured() {
        return measured;
    }

    @Override
    public void accept(List<Pipeline.Made> legs) {
        boolean all = Boolean.TRUE.equals(wanted);
        if (!all && (wanted != null || legs.size() < 2)) {
            return;
        }
        long start = System.nanoTime();
        try (var measurement = new StageMeasurement(original, options)) {
            measured.add(measurement.original());
            for (Pipeline.Made leg : legs) {
                if (all) {
                    measureWithin(leg, legs.getLast().to(), measurement);
                }
                Recipe recipe = leg.recipe();
                String name = all ? recipe.lastStage() : recipe.summary();
                measured.add(measurement.of(name, leg.to()));
            }
        }
        err.printf(
                "stages     %d measured · %s%n",
                measured.size() - 1, Units.seconds((System.nanoTime() - start) / NANOS_PER_SECOND));
        err.flush();
    }

    private void measureWithin(Pipeline.Made leg, Path output, StageMeasurement measurement) {
        Path beside = output.resolveSibling(output.getFileName() + ".each");
        List<Recipe> prefixes = leg.recipe().prefixes();
        try (Checkpoint from = Checkpoint.open(leg.from())) {
            for (Recipe prefix : prefixes.subList(0, prefixes.size() - 1)) {
                var windows = CompressionOptions.windows(prefix);
                new Pipeline(prefix, from, windows, (_, _, _) -> (_, _, _) -> {}).run(beside, true);
                measured.add(measurement.of(prefix.lastStage(), beside));
            }
        }
        Pipeline.delete(beside);
    }
}
