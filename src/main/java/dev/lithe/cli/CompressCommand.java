package dev.lithe.cli;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.compress.Plan;
import dev.lithe.compress.Recipe;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `lithe compress`: makes a smaller copy of a model and measures it against the original.
@Command(
        name = "compress",
        description = "Make a smaller copy of a model, and measure what that cost.")
final class CompressCommand implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Mixin private CompressionOptions options;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FOLDER",
            description = "Where the compressed model goes. Default: MODEL-RECIPE here.")
    private @Nullable Path output;

    @Option(names = "--dry-run", description = "Check and print the plan; write nothing.")
    private boolean dryRun;

    @Override
    public Integer call() {
        PrintWriter err = spec.commandLine().getErr();
        Recipe recipe = options.recipe();
        Path target = output == null ? Path.of(options.resultName(recipe)) : output;
        if (!dryRun) {
            CheckpointWriter.checkTarget(target, options.force);
        }
        try (Checkpoint checkpoint = options.open()) {
            Plan plan = options.plan(recipe, checkpoint, err);
            if (!dryRun) {
                options.compress(plan, checkpoint, target, options.force, (_, _, _) -> {});
            }
        }
        return 0;
    }
}
