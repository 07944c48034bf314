package dev.lithe.cli;

import dev.lithe.checkpoint.ModelSource;
import dev.lithe.compress.Recipe;
import dev.lithe.route.VariantSource;
import dev.lithe.serve.ServerOptions;
import dev.lithe.tensor.Device;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/// `lithe run`: compresses a model, measures both, and serves both.
@Command(
        name = "run",
        description = "Compress a model, measure it against the original, and serve both.")
final class RunCommand implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @ParentCommand private LitheCommand lithe;

    @Mixin private CompressAndMeasure work = new CompressAndMeasure();
    @Mixin private ServerFlags server = new ServerFlags();

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FOLDER",
            description =
                    "Where the compressed model goes. Default: a folder of the user's cache, written anew"
                            + " each time.")
    private @Nullable Path output;

    @Option(names = "--no-serve", description = "Stop after the report.")
    private boolean noServe;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        Device device = work.device();
        CompressionOptions compression = work.compression();
        Recipe recipe = compression.recipe();
        work.check();
        ServerOptions asked = server.options(variants(device), Map.of(), lithe.verbose());
        if (!noServe) {
            asked.requireFreePorts();
        }
        compression.find(err);
        boolean cached = output == null;
        Path target = output == null ? cached(compression, recipe) : output;
        work.run(recipe, target, cached || compression.force(), device, out, err);
        if (!noServe) {
            out.println();
            ServeCommand.run(
                    asked.in(Map.of("original", compression.folder(), "compressed", target)),
                    work.json() ? err : out);
        }
        return 0;
    }

    /// A folder per model: two that share a name do not share a result.
    private static Path cached(CompressionOptions compression, Recipe recipe) {
        String name = compression.resultName(recipe);
        if (!compression.model().equals(ModelSource.DEMO)) {
            Path real = compression.folder().toAbsolutePath().normalize();
            name += String.format("-%08x", real.toString().hashCode());
        }
        return ModelSource.cache().resolve(name);
    }

    /// In folders that are not known yet.
    private static List<VariantSource> variants(Device device) {
        return Stream.of("original", "compressed")
                .map(name -> new VariantSource(name, Path.of(name), device))
                .toList();
    }
}
