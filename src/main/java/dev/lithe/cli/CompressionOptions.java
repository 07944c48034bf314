package dev.lithe.cli;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.compress.Allocator;
import dev.lithe.compress.Needs;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.Plan;
import dev.lithe.compress.Recipe;
import dev.lithe.compress.RecipeParser;
import dev.lithe.model.KvCacheForm;
import dev.lithe.model.ModelSpec;
import dev.lithe.report.Units;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.Machine;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// What to compress and how: shared by `compress` and `run`.
final class CompressionOptions {
    private static final String DEFAULT_RECIPE = "int4";
    private static final double NANOS_PER_SECOND = 1e9;

    @Parameters(
            paramLabel = "MODEL",
            description = "A Hugging Face model folder, a .gguf file, 'demo', or an id on the hub.")
    private String model = "";

    private @Nullable Path folder;

    @ArgGroup private How how = new How();

    /// A recipe by name, or stages written out.
    static final class How {
        @Option(
                names = "--recipe",
                paramLabel = "NAME|FILE",
                description =
                        "A built-in recipe (int8, int4, gptq4, smallest, balanced, fastest-cpu,"
                                + " fastest-gpu) or a YAML file. Default: "
                                + DEFAULT_RECIPE
                                + ".")
        private String recipe = DEFAULT_RECIPE;

        @Option(
                names = "--stage",
                paramLabel = "TECHNIQUE[:KEY=VALUE,...]",
                description = "A stage, for example rtn:bits=4,group_size=32. Repeat it for more.")
        private List<String> stages = List.of();
    }

    @Option(
            names = "--calibration-text",
            paramLabel = "FILE",
            description =
                    "UTF-8 text that data-aware techniques look at (default: the recipe's, or the demo's"
                            + " calibration text).")
    private @Nullable Path calibrationText;

    @Option(
            names = "--table",
            description =
                    "Show what became of each linear, part by part: the relative error of its outputs on the"
                            + " calibration text (of its weights where no stage looks at data), and what"
                            + " rounding to nearest would have given.")
    private boolean table;

    @Option(names = "--force", description = "Replace a folder that Lithe wrote earlier.")
    private boolean force;

    /// What the user called the model.
    String model() {
        return model;
    }

    boolean force() {
        return force;
    }

    /// Finds the model, and fetches it where it has to; `err` hears of that.
    void find(PrintWriter err) {
        folder = ModelFinder.folder(model, err);
    }

    /// Where the model lies, once it was found.
    Path folder() {
        return Objects.requireNonNull(folder, "find() comes first");
    }

    /// The recipe that the options ask for.
    Recipe recipe() {
        InputFile.require("--calibration-text", calibrationText);
        Recipe recipe =
                how.stages.isEmpty()
                        ? RecipeParser.named(how.recipe)
                        : RecipeParser.inline(how.stages);
        return calibrationText == null
                ? recipe
                : recipe.withCalibrationText(calibrationText.toString());
    }

    /// The text that `recipe` calibrates with, or null where it looks at no data.
    static @Nullable Path calibrationText(Recipe recipe) {
        if (!recipe.calibrated()) {
            return null;
        }
        String text = recipe.calibration().text();
        return text == null ? ModelSource.demoCalibrationText() : Path.of(text);
    }

    /// What to call the result: `demo-int4`.
    String resultName(Recipe recipe) {
        return folder().toAbsolutePath().normalize().getFileName() + "-" + recipe.name();
    }

    /// Checks `recipe` against the model and the machine, and prints what will happen.
    void printPlan(Recipe recipe, Path output, PrintWriter out, PrintWriter err) {
        try (Checkpoint checkpoint = Checkpoint.open(folder())) {
            Settled settled = settled(recipe, checkpoint, null, err);
            var needs = Needs.of(settled.recipe(), checkpoint, calibration(recipe));
            print(needs, checkpoint, out);
            out.printf(
                    "needs      memory %s of %s available%s%s · disk %s%n",
                    needs.costs().isEmpty() ? "unknown" : Units.bytes(needs.memoryBytes()),
                    Units.bytes(Machine.here().availableBytes()),
                    needs.spills() ? ", calibration windows on disk" : "",
                    notEstimated(needs),
                    Units.bytes(needs.diskBytes()));
            String times = times(settled, needs);
            out.printf("time       %s%n", times.isEmpty() ? "unknown" : times);
            out.flush();
            needs.requireRoom(output);
        }
    }

    /// Names the stages that nobody foretells.
    private static String notEstimated(Needs needs) {
        List<String> stages = needs.unknown().stream().map(leg -> leg.recipe().summary()).toList();
        return stages.isEmpty()
                ? ""
                : ", without " + String.join(", ", stages) + " (see docs/techniques.md)";
    }

    private static String times(Settled settled, Needs needs) {
        Map<String, Double> seconds = new LinkedHashMap<>();
        if (settled.seconds() > 0) {
            seconds.put("bit_allocation", settled.seconds());
        }
        seconds.putAll(needs.seconds());
        return String.join(
                " · ",
                seconds.entrySet().stream()
                        .map(each -> each.getKey() + " " + Units.seconds(each.getValue()))
                        .toList());
    }

    /// A recipe, and the seconds that finding its bits took.
    private record Settled(Recipe recipe, double seconds) {}

    /// `recipe` with the bits of every linear found, where it leaves that to a budget and nothing
    /// comes before.
    ///
    /// @param prices the file for what is measured on the way; null to keep nothing
    private Settled settled(
            Recipe recipe, Checkpoint checkpoint, @Nullable Path prices, PrintWriter err) {
        if (!recipe.needsAllocation() || recipe.hasModelSteps()) {
            return new Settled(recipe, 0);
        }
        long start = System.nanoTime();
        Plan plan = Plan.of(recipe, checkpoint);
        CalibrationSet set = Objects.requireNonNull(calibration(recipe));
        Allocator.requireRoom(checkpoint, Machine.here());
        try (Progress bar = Progress.bar("allocate", plan.linears().size(), err)) {
            var allocator =
                    new Allocator(
                            checkpoint, plan.spec(), set, prices, n -> bar.advance(n, "linears"));
            return new Settled(
                    allocator.settle(recipe), (System.nanoTime() - start) / NANOS_PER_SECOND);
        }
    }

    /// Draws the windows that `recipe` looks at in the beginning; null where it looks at none.
    private @Nullable CalibrationSet calibration(Recipe recipe) {
        Pipeline.Windows windows = windows(recipe);
        Path folder = folder();
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            return windows == null
                    ? null
                    : windows.draw(
                            folder, ModelSpec.of(checkpoint.config(), folder + "/config.json"));
        }
    }

    static Pipeline.@Nullable Windows windows(Recipe recipe) {
        Path text = calibrationText(recipe);
        return text == null
                ? null
                : (folder, spec) -> CalibrationSet.draw(text, recipe.calibration(), folder, spec);
    }

    private void print(Needs needs, Checkpoint checkpoint, PrintWriter to) {
        Plan result = needs.result();
        ModelSpec before = ModelSpec.of(checkpoint.config(), checkpoint.folder().toString());
        to.printf(
                "model      %s · %s · %s parameters · %s%n",
                model,
                checkpoint.config().path("model_type").asText("llama"),
                Units.count(before.parameters()),
                Units.bytes(checkpoint.tensorBytes()));
        String parameters =
                before.parameters() == result.spec().parameters()
                        ? ""
                        : Units.count(result.spec().parameters()) + " parameters, ";
        to.printf(
                "plan       %s → %s%s · %s%s%s%n",
                needs.recipe().summary(),
                parameters,
                Units.bytes(result.bytes()),
                forms(result.formCounts()),
                cache(needs.running()) + seen(needs.running()),
                estimates(needs));
        if (result.mixesEmbedding()) {
            to.println(
                    "note       transformers opens a quantized embedding only where all that is quantized"
                            + " has one form; Lithe opens this one");
        }
        if (result.spec().sublayers().any()) {
            to.println(
                    "note       other programs refuse a model whose blocks lack parts; Lithe runs it, and"
                            + " lithe export --to dense writes zeros there for them");
        }
        CalibrationSet calibration = needs.calibration();
        if (calibration != null) {
            to.printf(
                    "calibrate  %d windows of %d tokens of %s%n",
                    calibration.samples(),
                    calibration.context(),
                    needs.recipe().calibration().text() == null
                            ? "the demo's calibration text; choose your own with --calibration-text"
                            : calibration.text().name());
            long tokens = (long) calibration.samples() * calibration.context();
            if (tokens < result.widestInput()) {
                to.printf(
                        "few        %d calibration tokens for linears of %d inputs; give a longer text or"
                                + " more samples%n",
                        tokens, result.widestInput());
            }
        }
        to.flush();
    }

    private static String estimates(Needs needs) {
        return needs.costs().isEmpty()
                ? ""
                : " · peak memory about %s · about %s%s"
                        .formatted(
                                Units.bytes(needs.memoryBytes()),
                                Units.seconds(needs.totalSeconds()),
                                notEstimated(needs));
    }

    /// What keys and values become, where they do not stay in floats.
    private static String cache(ModelSpec running) {
        return running.kvCache().equals(KvCacheForm.FLOAT)
                ? ""
                : " · keys and values in %s, %s per token"
                        .formatted(
                                running.kvCache().label(),
                                Units.bytes(running.cacheBytesPerToken()));
    }

    private static String seen(ModelSpec running) {
        if (running.pageAttention().limited()) {
            return " · attention to " + running.pageAttention().label();
        }
        return running.sparseAttention().limited()
                ? " · attention to " + running.sparseAttention().label()
                : "";
    }

    private static String forms(Map<String, Integer> counts) {
        return String.join(
                ", ",
                counts.entrySet().stream()
                        .map(form -> form.getValue() + " × " + form.getKey())
                        .toList());
    }

    /// Compresses the model into `output`, showing plan and progress.
    ///
    /// @param replace whether a folder that Lithe wrote earlier may be replaced
    /// @param device where the result will run
    /// @param beforeLast hears of the legs before the last one begins
    /// @return the seconds it took
    double compress(
            Recipe recipe,
            Path output,
            boolean replace,
            Device device,
            PrintWriter err,
            Consumer<List<Pipeline.Made>> beforeLast) {
        try (Checkpoint checkpoint = Checkpoint.open(folder())) {
            Settled settled = settled(recipe, checkpoint, Pipeline.keptPrices(output, 0), err);
            var needs = Needs.of(settled.recipe(), checkpoint, calibration(recipe));
            print(needs, checkpoint, err);
            needs.running().kvCache().requireOn(device, output);
            needs.requireRoom(output);
            double seconds = settled.seconds();
            try (var progress = new PipelineProgress(table, err, beforeLast)) {
                new Pipeline(settled.recipe(), checkpoint, windows(recipe), progress)
                        .run(output, replace);
                seconds += progress.seconds();
            }
            err.printf(Locale.ROOT, "written    %s%n", output);
            err.flush();
            return seconds;
        }
    }
}
