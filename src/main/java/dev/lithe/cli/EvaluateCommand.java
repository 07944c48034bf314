package dev.lithe.cli;

import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import dev.lithe.report.ReportFolder;
import dev.lithe.report.ReportJson;
import dev.lithe.report.TerminalTable;
import dev.lithe.tensor.Device;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `lithe evaluate`: measures a model, and others beside it.
@Command(
        name = "evaluate",
        description =
                "Measure a model's perplexity, size and latency, and those of compressed copies beside it.")
final class EvaluateCommand implements Callable<Integer> {
    @Parameters(
            index = "0",
            paramLabel = "ORIGINAL",
            description = "A model folder, a .gguf file, demo, or an id on the hub.")
    private String original = "";

    @Parameters(
            index = "1..*",
            arity = "0..*",
            paramLabel = "COMPRESSED",
            description = "Models to compare with it.")
    private List<String> compressed = List.of();

    @Mixin private EvaluationOptions evaluation;

    @Option(names = "--json", description = "Print report.json instead of the table.")
    private boolean json;

    @Option(
            names = "--output",
            paramLabel = "FOLDER",
            description = "Write report.json and report.md there.")
    private @Nullable Path output;

    @Spec private CommandSpec spec;

    @Override
    public Integer call() {
        var commandLine = spec.commandLine();
        var out = commandLine.getOut();
        var err = commandLine.getErr();
        Device device = evaluation.device();
        evaluation.check();
        Candidate base = Candidate.of("original", original, ModelFinder.folder(original, err));
        List<Candidate> others = others(err);
        if (output != null) {
            ReportFolder.prepare(output);
        }
        MeasureOptions options = evaluation.measureOptions(null, device, err);
        Report report;
        try (var progress = new MeasureProgress(err)) {
            report = Measurement.measure(base, others, options, progress);
        }
        if (output != null) {
            ReportFolder.write(report, output);
        }
        out.println(json ? ReportJson.write(report) : table(report));
        out.flush();
        evaluation.checkQuality(report);
        return 0;
    }

    private static String table(Report report) {
        return "evaluate   "
                + TerminalTable.summary(report.evaluation())
                + "\n\n"
                + TerminalTable.of(report).stripTrailing();
    }

    /// One compressed model is `compressed`; several go by their folders' names, or by what the
    /// user called them where folders share a name.
    private List<Candidate> others(PrintWriter err) {
        List<Path> folders =
                compressed.stream().map(model -> ModelFinder.folder(model, err)).toList();
        List<String> names = folders.stream().map(EvaluateCommand::nameOf).toList();
        boolean distinct = names.stream().distinct().count() == names.size();
        List<Candidate> others = new ArrayList<>();
        for (int i = 0; i < folders.size(); i++) {
            String name =
                    folders.size() == 1
                            ? "compressed"
                            : distinct ? names.get(i) : compressed.get(i);
            others.add(Candidate.of(name, compressed.get(i), folders.get(i)));
        }
        return others;
    }

    private static String nameOf(Path folder) {
        return String.valueOf(folder.toAbsolutePath().normalize().getFileName());
    }
}
