package dev.lithe.cli;

import dev.lithe.fault.LitheException;
import dev.lithe.route.VariantSource;
import dev.lithe.serve.Server;
import dev.lithe.serve.ServerOptions;
import dev.lithe.tensor.Device;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/// `lithe serve`: loads models and answers requests until it is stopped.
@Command(name = "serve", description = "Serve one or more variants of a model over gRPC.")
final class ServeCommand implements Runnable {
    @Spec private CommandSpec spec;
    @ParentCommand private LitheCommand lithe;

    @Parameters(
            arity = "0..1",
            paramLabel = "MODEL",
            description =
                    "Served as 'original': a Hugging Face folder, a .gguf file, 'demo', or an id on the hub.")
    private @Nullable String model;

    @Option(names = "--compressed", paramLabel = "FOLDER", description = "Served as 'compressed'.")
    private @Nullable String compressed;

    @Option(
            names = "--variant",
            paramLabel = "NAME=FOLDER",
            description = "One more variant (repeatable).")
    private Map<String, String> variants = new LinkedHashMap<>();

    @Option(
            names = "--weight",
            paramLabel = "NAME=NUMBER",
            description =
                    "Share of the requests that name no variant (repeatable); equal shares without.")
    private Map<String, Double> weights = new LinkedHashMap<>();

    @Mixin private DeviceFlag device = new DeviceFlag();
    @Mixin private ServerFlags server = new ServerFlags();
    @Mixin private ExperimentFlags experiment = new ExperimentFlags();

    @Override
    public void run() {
        ServerOptions options =
                server.options(sources(), weights, lithe.verbose()).with(experiment.options());
        PrintWriter err = spec.commandLine().getErr();
        Map<String, Path> folders = new HashMap<>();
        for (VariantSource each : options.variants()) {
            folders.put(each.name(), ModelFinder.folder(each.folder().toString(), err));
        }
        run(options.in(folders), spec.commandLine().getOut());
    }

    /// Serves until the process is stopped; prints one line to `out` once it is ready.
    static void run(ServerOptions options, PrintWriter out) {
        String names =
                options.variants().stream()
                        .map(VariantSource::name)
                        .collect(Collectors.joining(", "));
        Server.run(
                options,
                at -> {
                    out.printf(
                            "serving    %s · gRPC %s · HTTP %s · Ctrl-C to stop%n",
                            names, at.grpc(), at.http());
                    out.flush();
                });
    }

    /// What is served; their folders are what the user calls the models.
    private List<VariantSource> sources() {
        Device on = device.device();
        List<VariantSource> sources = new ArrayList<>();
        if (model != null) {
            sources.add(new VariantSource("original", Path.of(model), on));
        }
        if (compressed != null) {
            sources.add(new VariantSource("compressed", Path.of(compressed), on));
        }
        variants.forEach(
                (name, called) -> sources.add(new VariantSource(name, Path.of(called), on)));
        if (sources.isEmpty()) {
            throw LitheException.badInput(
                    "nothing to serve; name a MODEL (try 'lithe serve demo') or a --variant");
        }
        return sources;
    }
}
