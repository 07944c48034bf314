package dev.lithe.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.compress.Compressor;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.fault.LitheException;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Units;
import dev.lithe.search.Goal;
import dev.lithe.search.Goal.Preference;
import dev.lithe.search.Outcome;
import dev.lithe.search.Request;
import dev.lithe.search.Rung;
import dev.lithe.search.Search;
import dev.lithe.search.SearchResult;
import dev.lithe.search.Workers;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.Torch;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `lithe search`: finds a recipe for limits on size, quality and time.
@Command(
        name = "search",
        description = {
            "Find a recipe for limits on size, quality and time.",
            "Candidates are ranked by KL divergence on a held-out part of the calibration text; finalists"
                    + " are measured on the evaluation text, and where quality counts the winner is as good"
                    + " as every single technique among them both in KL and in perplexity, if one is."
                    + " FOLDER/recipe.yaml is the best so far at any"
                    + " time. The same command goes on where an earlier one was stopped."
        })
final class SearchCommand implements Callable<Integer> {
    private static final Pattern DURATION = Pattern.compile("(\\d{1,6})([smh])");
    private static final Pattern BYTES = Pattern.compile("(\\d{1,18})(?:\\.(\\d{1,3}))?(%?)");
    private static final double PERCENT = 100;
    private static final int MINUTE = 60;
    private static final int HOUR = 3600;
    private static final int DEFAULT_MINUTES = 20;

    /// Finalists lie close together: perplexity tells them apart on a long text only.
    private static final long TOKENS = 32_768;

    @Spec private CommandSpec spec;

    @Parameters(
            paramLabel = "MODEL",
            description = "A Hugging Face model folder, a .gguf file, 'demo', or an id on the hub.")
    private String model = "";

    @Option(
            names = "--max-bytes",
            paramLabel = "BYTES|SHARE%",
            description = "Most bytes of the weight files: 4000000, or 40%% of the original's.")
    private @Nullable String maxBytes;

    @Option(
            names = "--min-speedup",
            paramLabel = "X",
            description = "Least quotient of the original's time per token by the result's.")
    private @Nullable Double minSpeedup;

    @Option(
            names = "--prefer",
            paramLabel = "quality|bytes|speed",
            description =
                    "What is best within the limits (default: quality; bytes where quality is limited and"
                            + " bytes are not). Quality is the KL divergence from the original.")
    private @Nullable String prefer;

    @Option(
            names = "--budget",
            paramLabel = "TIME",
            description =
                    "Time for all trials: 90s, 20m, 2h (default: 20m, or none with --max-candidates). One"
                            + " that began is not cut off, and the best and two single techniques are"
                            + " measured in any case.")
    private @Nullable String budget;

    @Option(
            names = "--max-candidates",
            paramLabel = "N",
            description = "Most recipes to try; unlike a time, it ends the same everywhere.")
    private @Nullable Integer maxCandidates;

    @Option(
            names = "--space",
            paramLabel = "FILE",
            description = "What to combine, as YAML (default: Lithe's own choice).")
    private @Nullable Path space;

    @Option(
            names = "--calibration-text",
            paramLabel = "FILE",
            description =
                    "UTF-8 text that candidates calibrate with and are ranked by (default: the demo's).")
    private @Nullable Path calibrationText;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FOLDER",
            description =
                    "Where recipe, journal, finalists and report go. Default: MODEL-search here.")
    private @Nullable Path output;

    @Option(
            names = "--workers",
            paramLabel = "N",
            defaultValue = "1",
            description =
                    "Processes that search together in one --output, each started with its --worker"
                            + " (default: 1). They find what one would.")
    private int workers;

    @Option(
            names = "--worker",
            paramLabel = "I",
            defaultValue = "${env:JOB_COMPLETION_INDEX}",
            description = "Which of them this is, from 0; a Kubernetes Job says so by itself.")
    private @Nullable Integer worker;

    @Option(
            names = "--on",
            paramLabel = "kubernetes",
            description =
                    "Print the Job that does it with --workers pods, for 'kubectl apply -f -', and search"
                            + " nothing here. Paths are those of the pods: /models is their volume.")
    private @Nullable String cluster;

    @Option(
            names = "--image",
            paramLabel = "NAME",
            description = "What the pods of --on kubernetes run.")
    private @Nullable String image;

    @Option(names = "--json", description = "Print JSON instead of the table.")
    private boolean json;

    @Mixin private EvaluationOptions evaluation = new EvaluationOptions(TOKENS);

    @Override
    public Integer call() throws JsonProcessingException {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        if (cluster != null) {
            out.print(job());
            out.flush();
            return 0;
        }
        Request request = request(err);
        Measurement.check(request.model(), request.options());
        SearchResult result = search(request, err);
        if (json) {
            out.println(
                    new JsonMapper()
                            .writerWithDefaultPrettyPrinter()
                            .writeValueAsString(result.toJson()));
        } else {
            out.println();
            out.print(result.table());
            out.printf("recipe     %s%n", request.folder().resolve("recipe.yaml"));
            out.printf("plot       %s%n", request.folder().resolve("report.html"));
        }
        out.flush();
        if (request.workers().first()) {
            result.requireWithinLimits();
        }
        return 0;
    }

    private String job() {
        if (!"kubernetes".equals(cluster)) {
            throw LitheException.badInput(
                    "--on %s; only kubernetes is known, and without --on it is this machine",
                    cluster);
        }
        Workers _ = new Workers(0, workers);
        requireWellWritten();
        if (output == null || !output.isAbsolute()) {
            throw LitheException.badInput(
                    "--on kubernetes needs --output, a folder on the volume, such as /models/search");
        }
        return SearchJob.of(spec.commandLine().getParseResult().originalArgs(), workers, image);
    }

    private Workers workers() {
        if (workers == 1 && worker == null) {
            return Workers.ALONE;
        }
        if (workers > 1 && worker == null) {
            throw LitheException.badInput(
                    "--workers %d needs --worker, which of them this is, from 0 to %d",
                    workers, workers - 1);
        }
        return worker == null
                ? new Workers(0, workers)
                : new Workers(Objects.requireNonNull(worker), workers);
    }

    /// Refuses what is wrong whatever model and files are.
    private void requireWellWritten() {
        double _ = seconds();
        evaluation.checkValues();
        var _ = new Goal(null, evaluation.maxPerplexityRatio(), minSpeedup, Preference.QUALITY);
        if (maxBytes != null) {
            requireLimit(maxBytes);
        }
        if (prefer != null) {
            Preference _ = preference(prefer);
        }
        if (maxCandidates != null && maxCandidates < 1) {
            throw LitheException.badInput("--max-candidates %d; give 1 or more", maxCandidates);
        }
    }

    private static void requireLimit(String bytes) {
        Matcher written = BYTES.matcher(bytes);
        boolean share = bytes.endsWith("%");
        if (!written.matches() || !share && written.group(2) != null) {
            throw LitheException.badInput(
                    "--max-bytes %s; write whole bytes, such as 4000000, or a share, such as 40%%",
                    bytes);
        }
        double number = Double.parseDouble(bytes.replace("%", ""));
        if (number == 0 || share && number > PERCENT) {
            throw LitheException.badInput(
                    "--max-bytes %s; a limit is above 0, and a share of the original at most 100%%;"
                            + " leave it out for none",
                    bytes);
        }
    }

    private static SearchResult search(Request request, PrintWriter err) {
        var stopped =
                new Thread(() ->
                        err.printf(
                                "stopped    %s is the best so far, if any; the same command goes on%n",
                                request.folder().resolve("recipe.yaml")));
        Runtime.getRuntime().addShutdownHook(stopped);
        try {
            return Torch.onOwnThread(() ->
                    Search.run(
                            request,
                            new Search.Listener() {
                                @Override
                                public void tried(
                                        int number,
                                        String recipe,
                                        Rung rung,
                                        Outcome outcome,
                                        boolean best) {
                                    err.println(line(number, recipe, rung, outcome, best));
                                }

                                @Override
                                public void waits(int worker) {
                                    err.printf(
                                            "waiting    for worker %d, which must run too; start it again if it"
                                                    + " ended%n",
                                            worker);
                                }
                            }));
        } finally {
            Runtime.getRuntime().removeShutdownHook(stopped);
        }
    }

    private Request request(PrintWriter err) {
        Device device = evaluation.device();
        requireWellWritten();
        evaluation.check();
        InputFile.require("--space", space);
        InputFile.require("--calibration-text", calibrationText);
        Workers together = workers();
        Path folder = ModelFinder.folder(model, err);
        Path text = calibrationText == null ? ModelSource.demoCalibrationText() : calibrationText;
        MeasureOptions options = evaluation.measureOptions(text, device, err);
        Path target =
                output == null
                        ? Path.of(folder.toAbsolutePath().normalize().getFileName() + "-search")
                        : output;
        Compressor.checkOutput(folder, target.resolve("trial"), true);
        return new Request(
                model,
                folder,
                goal(folder),
                seconds(),
                maxCandidates == null ? Integer.MAX_VALUE : maxCandidates,
                options.seed(),
                text,
                options,
                space,
                target,
                together);
    }

    private double seconds() {
        if (budget == null) {
            return maxCandidates == null
                    ? DEFAULT_MINUTES * (double) MINUTE
                    : Double.POSITIVE_INFINITY;
        }
        Matcher written = DURATION.matcher(budget);
        if (!written.matches() || Integer.parseInt(written.group(1)) == 0) {
            throw LitheException.badInput("--budget %s; write for example 90s, 20m or 2h", budget);
        }
        int unit =
                switch (written.group(2)) {
                    case "s" -> 1;
                    case "m" -> MINUTE;
                    default -> HOUR;
                };
        return (double) Integer.parseInt(written.group(1)) * unit;
    }

    private Goal goal(Path folder) {
        Double maxRatio = evaluation.maxPerplexityRatio();
        Long bytes = bytes(folder);
        Preference preference =
                prefer == null
                        ? maxRatio != null && bytes == null ? Preference.BYTES : Preference.QUALITY
                        : preference(prefer);
        return new Goal(bytes, maxRatio, minSpeedup, preference);
    }

    private static Preference preference(String name) {
        try {
            return Preference.valueOf(name.toUpperCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            throw LitheException.badInput("--prefer %s; it is quality, bytes or speed", name)
                    .causedBy(e);
        }
    }

    private @Nullable Long bytes(Path folder) {
        if (maxBytes == null) {
            return null;
        }
        Matcher written = BYTES.matcher(maxBytes);
        boolean _ = written.matches(); // #requireWellWritten knows that it does
        if (written.group(3).isEmpty()) {
            return Long.parseLong(maxBytes);
        }
        double share = Double.parseDouble(maxBytes.replace("%", ""));
        return (long) (share / PERCENT * ModelSize.of(folder).weightBytes());
    }

    private static String line(
            int number, String recipe, Rung rung, Outcome outcome, boolean best) {
        String found =
                outcome.trouble() == null
                        ? String.format(
                                Locale.ROOT,
                                "%-8s KL %.5f",
                                Units.bytes(outcome.bytes()),
                                outcome.kl())
                        : outcome.trouble();
        return String.format(
                Locale.ROOT,
                "%-6s %4d %s · %s · %.0f s%s",
                rung.label(),
                number,
                recipe,
                found,
                outcome.seconds(),
                best ? " · best so far" : "");
    }
}
