package dev.lithe.cli;

import dev.lithe.compress.Compressor;
import dev.lithe.compress.Recipe;
import dev.lithe.tensor.Device;
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

    @Mixin private CompressAndMeasure work = new CompressAndMeasure();

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FOLDER",
            description = "Where the compressed model goes. Default: MODEL-RECIPE here.")
    private @Nullable Path output;

    @Option(names = "--dry-run", description = "Check and print the plan; write nothing.")
    private boolean dryRun;

    @Option(names = "--no-evaluate", description = "Do not measure the result.")
    private boolean noEvaluate;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        Device device = work.device();
        CompressionOptions compression = work.compression();
        Recipe recipe = compression.recipe();
        work.check();
        if (noEvaluate) {
            work.requireNoStages();
        }
        compression.find(err);
        Path target = output == null ? Path.of(compression.resultName(recipe)) : output;
        if (dryRun) {
            Compressor.checkOutput(compression.folder(), target, compression.force());
            compression.printPlan(recipe, target, out, err);
        } else if (noEvaluate) {
            Compressor.checkOutput(compression.folder(), target, compression.force());
            compression.compress(recipe, target, compression.force(), Device.CPU, err, _ -> {});
        } else {
            work.run(recipe, target, compression.force(), device, out, err);
        }
        return 0;
    }
}
