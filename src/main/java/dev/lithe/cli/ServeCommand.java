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
        List<Map.Entry<String, String>> called = called();
        ServerOptions options =
                server.options(sources(called), weights, lithe.verbose())
                        .with(experiment.options());
        PrintWriter err = spec.commandLine().getErr();
        Map<String, Path> folders = new HashMap<>();
        for (Map.Entry<String, String> each : called) {
            folders.put(each.getKey(), ModelFinder.folder(each.getValue(), err));
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

    /// The models by name, as the user calls them: `demo/` is a folder, and `demo` is not.
    private List<Map.Entry<String, String>> called() {
        List<Map.Entry<String, String>> called = new ArrayList<>();
        if (model != null) {
            called.add(Map.entry("original", model));
        }
        if (compressed != null) {
            called.add(Map.entry("compressed", compressed));
        }
        called.addAll(variants.entrySet());
        if (called.isEmpty()) {
            throw LitheException.badInput(
                    "nothing to serve; name a MODEL (try 'lithe serve demo') or a --variant");
        }
        return called;
    }

    /// What is served, from folders that are yet to be found.
    private List<VariantSource> sources(List<Map.Entry<String, String>> called) {
        Device on = device.device();
        return called.stream()
                .map(each -> new VariantSource(each.getKey(), Path.of(each.getValue()), on))
                .toList();
    }
}
