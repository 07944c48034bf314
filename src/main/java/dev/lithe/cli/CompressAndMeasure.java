package dev.lithe.cli;

import dev.lithe.compress.Compressor;
import dev.lithe.compress.Recipe;
import dev.lithe.fault.LitheException;
import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import dev.lithe.report.ReportFolder;
import dev.lithe.report.ReportJson;
import dev.lithe.report.TerminalTable;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.Torch;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// Makes a compressed copy, re-opens it from the disk, and measures it beside the original: what
/// `compress` and `run` have in common.
final class CompressAndMeasure {
    @Mixin private CompressionOptions compression = new CompressionOptions();
    @Mixin private EvaluationOptions evaluation = new EvaluationOptions();

    @Option(names = "--json", description = "Print report.json instead of the table.")
    private boolean json;

    @Option(
            names = "--each-stage",
            negatable = true,
            description =
                    "Measure size and quality after every stage too, for the report. Without it, that is done"
                            + " behind those stages that leave a whole model on the disk, where it costs"
                            + " little; with it, also between those that go linear by linear, each of which"
                            + " compresses once more. --no-each-stage measures the result alone.")
    private @Nullable Boolean eachStage;

    CompressionOptions compression() {
        return compression;
    }

    boolean json() {
        return json;
    }

    /// Where the models are to run.
    Device device() {
        return evaluation.device();
    }

    /// Refuses what is wrong whatever the model.
    void check() {
        evaluation.check();
    }

    /// Refuses to measure stages where nothing is measured.
    void requireNoStages() {
        if (Boolean.TRUE.equals(eachStage)) {
            throw LitheException.badInput(
                    "--each-stage measures, and --no-evaluate says not to; leave one of them out");
        }
    }

    /// Compresses into `target`, measures, prints the report and leaves it in the folder.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @param device where both models are measured
    void run(
            Recipe recipe,
            Path target,
            boolean replace,
            Device device,
            PrintWriter out,
            PrintWriter err) {
        Compressor.checkOutput(compression.folder(), target, replace);
        MeasureOptions options =
                evaluation.measureOptions(CompressionOptions.calibrationText(recipe), device, err);
        Measurement.check(compression.folder(), options);
        Report report =
                Torch.onOwnThread(() -> {
                    var stages = new EachStage(compression.folder(), options, eachStage, err);
                    double seconds =
                            compression.compress(recipe, target, replace, device, err, stages);
                    return measure(target, seconds, stages.measured(), options, err);
                });
        ReportFolder.write(report, target);
        print(report, out, err);
        evaluation.checkQuality(report);
    }

    private Report measure(
            Path target,
            double seconds,
            List<Report.Stage> stages,
            MeasureOptions options,
            PrintWriter err) {
        Candidate original = Candidate.of("original", compression.model(), compression.folder());
        Candidate made = Candidate.of("compressed", target.toString(), target);
        try (var progress = new MeasureProgress(err)) {
            return Measurement.measure(
                    original, List.of(made.madeIn(seconds).madeBy(stages)), options, progress);
        }
    }

    private void print(Report report, PrintWriter out, PrintWriter err) {
        if (json) {
            out.println(ReportJson.write(report));
        } else {
            err.println("evaluate   " + TerminalTable.summary(report.evaluation()));
            err.flush();
            out.println();
            out.print(TerminalTable.of(report));
        }
        out.flush();
    }
}
