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
import java.util.Locale;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Measures what the stages of a recipe left, each from its folder, all but the last before the
/// result is there: a run that is killed meanwhile goes on like any other. Behind a leg there is a
/// folder; for a stage within a leg, the leg is carried out once more up to there.
final class EachStage implements Consumer<List<Pipeline.Made>> {
    private static final double NANOS_PER_SECOND = 1e9;

    private final Path original;
    private final MeasureOptions options;
    private final @Nullable Boolean wanted;
    private final PrintWriter err;
    private final List<Report.Stage> measured = new ArrayList<>();
    private Pipeline.@Nullable Made unmeasured;
    private double nanos;

    /// @param original the folder that the first leg reads
    /// @param wanted whether to measure after every stage; null for what costs little
    EachStage(Path original, MeasureOptions options, @Nullable Boolean wanted, PrintWriter err) {
        this.original = original;
        this.options = options;
        this.wanted = wanted;
        this.err = err;
    }

    /// The original first; nothing where nothing is between it and the result, which is measured
    /// now.
    List<Report.Stage> measured() {
        Pipeline.Made last = unmeasured;
        if (last != null) {
            unmeasured = null;
            long start = System.nanoTime();
            try (var measurement = new StageMeasurement(original, options)) {
                measure(name(last.recipe()), last.to(), measurement);
            }
            nanos += System.nanoTime() - start;
            say(
                    "stages     %d measured · %s",
                    measured.size() - 1, Units.seconds(nanos / NANOS_PER_SECOND));
        }
        return measured;
    }

    private boolean all() {
        return Boolean.TRUE.equals(wanted);
    }

    private String name(Recipe recipe) {
        return all() ? recipe.lastStage() : recipe.summary();
    }

    @Override
    public void accept(List<Pipeline.Made> legs) {
        if (!all() && (wanted != null || legs.size() < 2)) {
            return;
        }
        long start = System.nanoTime();
        unmeasured = legs.getLast();
        try (var measurement = new StageMeasurement(original, options)) {
            measured.add(measurement.original());
            for (Pipeline.Made leg : legs) {
                if (all()) {
                    measureWithin(leg, legs.getLast().to(), measurement);
                }
                if (leg != legs.getLast()) {
                    measure(name(leg.recipe()), leg.to(), measurement);
                }
            }
        }
        nanos = System.nanoTime() - start;
    }

    private void measure(String stage, Path made, StageMeasurement measurement) {
        say("measure    what %s left", stage);
        measured.add(measurement.of(stage, made));
    }

    private void say(String format, Object... values) {
        err.printf(Locale.ROOT, format + "%n", values);
        err.flush();
    }

    private void measureWithin(Pipeline.Made leg, Path output, StageMeasurement measurement) {
        Path scratch = Pipeline.scratch(output);
        List<Recipe> prefixes = leg.recipe().prefixes();
        try (Checkpoint from = Checkpoint.open(leg.from())) {
            for (Recipe prefix : prefixes.subList(0, prefixes.size() - 1)) {
                say("again      %s", prefix.summary());
                var windows = CompressionOptions.windows(prefix);
                new Pipeline(prefix, from, windows, (_, _, _) -> (_, _, _) -> {})
                        .run(scratch, true);
                measure(prefix.lastStage(), scratch, measurement);
            }
        }
        Pipeline.delete(scratch);
    }
}
