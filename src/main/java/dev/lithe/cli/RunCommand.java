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
    @Mixin private ServerLoad load = new ServerLoad();

    @Mixin private ServerAddress address = new ServerAddress();
    @Mixin private AccessFlags access = new AccessFlags();
    @Mixin private ObserveFlags observe = new ObserveFlags();
    @Mixin private DraftFlags draft = new DraftFlags();

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
        compression.find(err);
        Recipe recipe = compression.recipe();
        boolean cached = output == null;
        Path target = output == null ? cached(compression, recipe) : output;
        var server = options(compression.folder(), target, device);
        if (!noServe) {
            server.requireFreePorts();
        }
        work.run(recipe, target, cached || compression.force(), device, out, err);
        if (!noServe) {
            out.println();
            ServeCommand.run(server, work.json() ? err : out);
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

    private ServerOptions options(Path original, Path compressed, Device device) {
        return new ServerOptions(
                        List.of(
                                new VariantSource("original", original, device),
                                new VariantSource("compressed", compressed, device)),
                        Map.of(),
                        address.host(),
                        address.grpcPort(),
                        address.httpPort(),
                        load.limits(),
                        load.drain(),
                        lithe.verbose())
                .with(access.options())
                .with(observe.options())
                .withDraft(draft.options());
    }
}
