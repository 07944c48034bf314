package dev.lithe.cli;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.Recipe;
import dev.lithe.compress.RecipeParser;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// What to compress and how: shared by `compress` and `run`.
final class CompressionOptions {
    private static final String DEFAULT_RECIPE = "int4";

    @Parameters(paramLabel = "MODEL", description = "A Hugging Face model folder, or 'demo'.")
    String model = "";

    @ArgGroup private How how = new How();

    /// A recipe by name, or stages written out.
    static final class How {
        @Option(
                names = "--recipe",
                paramLabel = "NAME|FILE",
                description =
                        "A built-in recipe (int8, int4) or a YAML file. Default: "
                                + DEFAULT_RECIPE
                                + ".")
        String recipe = DEFAULT_RECIPE;

        @Option(
                names = "--stage",
                paramLabel = "TECHNIQUE[:KEY=VALUE,...]",
                description = "A stage, for example rtn:bits=4,group_size=32. Repeat it for more.")
        List<String> stages = List.of();
    }

    @Option(names = "--force", description = "Replace a folder that Lithe wrote earlier.")
    boolean force;

    /// The recipe that the options ask for.
    Recipe recipe() {
        return how.stages.isEmpty()
                ? RecipeParser.named(how.recipe)
                : RecipeParser.inline(how.stages);
    }

    /// What to call the result: `demo-int4`.
    String resultName(Recipe recipe) {
        return Path.of(model).toAbsolutePath().normalize().getFileName() + "-" + recipe.name();
    }

    /// Opens the model, plans, and prints what will happen.
    Plan plan(Recipe recipe, Checkpoint checkpoint, PrintWriter err) {
        Plan plan = Plan.of(recipe, checkpoint);
        long before = checkpoint.tensorBytes();
        err.printf(
                "model      %s · %s · %s parameters · %s%n",
                model,
                checkpoint.config().path("model_type").asText("llama"),
                Units.count(parameters(checkpoint, plan)),
                Units.bytes(before));
        err.printf(
                "plan       %s → %s · %s · peak memory about %s%n",
                recipe.summary(),
                Units.bytes(plan.bytes(checkpoint)),
                forms(plan.formCounts()),
                Units.bytes(plan.peakBytes()));
        return plan;
    }

    private static long parameters(Checkpoint checkpoint, Plan plan) {
        long linears = plan.linears().stream().mapToLong(linear -> linear.name().weights()).sum();
        return linears
                + plan.otherTypes().keySet().stream()
                        .mapToLong(name -> checkpoint.entry(name).elements())
                        .sum();
    }

    private static String forms(Map<String, Integer> counts) {
        return String.join(
                ", ",
                counts.entrySet().stream()
                        .map(form -> form.getValue() + " × " + form.getKey())
                        .toList());
    }

    /// Carries `plan` out into `output`.
    Path compress(
            Plan plan,
            Checkpoint checkpoint,
            Path output,
            boolean replace,
            Compressor.Listener listener) {
        CheckpointWriter.checkTarget(output, replace);
        return new Compressor(plan, checkpoint, listener).run(output, replace);
    }

    /// Opens the model.
    Checkpoint open() {
        return Checkpoint.open(ModelSource.folder(model));
    }
}
