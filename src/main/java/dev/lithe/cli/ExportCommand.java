package dev.lithe.cli;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.TensorEntry;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.export.CompressedTensorsExport;
import dev.lithe.export.DenseExport;
import dev.lithe.export.GgufExport;
import dev.lithe.export.GgufMix;
import dev.lithe.export.GptqExport;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.report.Units;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `lithe export`: a model in a form that other programs load.
@Command(name = "export", description = "Write a model in a form that other programs load.")
final class ExportCommand implements Callable<Integer> {
    private static final List<String> FORMS =
            List.of("gguf", "compressed-tensors", "gptq", "dense");

    /// Headers, alignment and texts make less of a difference.
    private static final double GROWN = 1.1;

    @Spec private CommandSpec spec;

    @Parameters(
            paramLabel = "MODEL",
            description = "A Hugging Face model folder, a .gguf file, 'demo', or an id on the hub.")
    private String model = "";

    @Option(
            names = "--to",
            required = true,
            paramLabel = "FORM",
            description =
                    "gguf (one file, for llama.cpp); compressed-tensors (a folder for transformers and"
                            + " vLLM, integers and 8-bit floats code by code); gptq (a folder of integers"
                            + " in GPTQ's layout); or dense (a folder of floats).")
    private String form = "";

    @Option(
            names = {"-o", "--output"},
            required = true,
            paramLabel = "PATH",
            description = "The file or folder to write.")
    private Path output = Path.of("");

    @Option(
            names = "--type",
            paramLabel = "TYPE",
            description =
                    "How GGUF stores the weights: f32, f16, bf16, q8_0, q6_k, q5_k, q4_k, q5_1, q5_0,"
                            + " q4_1, q4_0; or llama.cpp's mixes q5_k_m and q4_k_m, which give"
                            + " 6 bits to what matters most. Default: as they are stored, code by"
                            + " code.")
    private @Nullable String type;

    @Option(names = "--force", description = "Replace what is there.")
    private boolean force;

    @Override
    public Integer call() {
        if (!FORMS.contains(form)) {
            throw LitheException.badInput(
                    "--to %s is unknown; Lithe exports %s", form, String.join(", ", FORMS));
        }
        if (type != null && !form.equals("gguf")) {
            throw LitheException.badInput(
                    "--type goes with --to gguf; a folder keeps the model's own type");
        }
        if (form.equals("gguf")) {
            requireNewFile();
        }
        @Nullable GgufMix mix = type == null ? null : GgufMix.of(type);
        try (var checkpoint =
                Checkpoint.open(ModelFinder.folder(model, spec.commandLine().getErr()))) {
            switch (form) {
                case "gguf" -> gguf(checkpoint, mix);
                case "dense" -> DenseExport.write(checkpoint, output, force);
                case "compressed-tensors" ->
                        CompressedTensorsExport.write(checkpoint, output, force);
                case "gptq" -> GptqExport.write(checkpoint, output, force);
                default -> throw LitheException.of(Fault.INTERNAL, "no export to %s", form);
            }
            tellWhatIsLeftOut(checkpoint);
            if (!form.equals("dense") && type == null) {
                tellWhatGrew(checkpoint.folder());
            }
        }
        spec.commandLine().getOut().printf("%s · %s%n", output, Units.bytes(size(output)));
        return 0;
    }

    private void tellWhatIsLeftOut(Checkpoint checkpoint) {
        ModelSpec shapes = ModelSpec.of(checkpoint.config(), checkpoint.folder() + "/config.json");
        var err = spec.commandLine().getErr();
        if (shapes.experts().any()) {
            err.printf(
                    "left out   the router: of %s, the export runs all%n",
                    shapes.experts().label());
        }
        if (!shapes.thresholds().ofBlocks().isEmpty()) {
            err.println("noted      other programs take no input for 0 (activation_sparsity)");
        }
    }

    /// Says so where weights whose form this export has no name for became floats.
    private void tellWhatGrew(Path folder) {
        long weights = ModelSize.of(folder).weightBytes();
        Path tokenizer = folder.resolve("tokenizer.json");
        long texts = Files.exists(tokenizer) ? size(tokenizer) : 0;
        if (size(output) - texts > GROWN * weights) {
            spec.commandLine()
                    .getErr()
                    .printf(
                            "noted      larger than the model (%s): what %s has no form for was written as"
                                    + " floats%n",
                            Units.bytes(weights), form);
        }
    }

    private void requireNewFile() {
        if (Files.isDirectory(output)) {
            throw LitheException.badInput("%s is a folder; name a file, like model.gguf", output);
        }
        if (Files.exists(output) && !force) {
            throw LitheException.badInput(
                    "%s exists; choose another --output, or add --force", output);
        }
    }

    private void gguf(Checkpoint checkpoint, @Nullable GgufMix mix) {
        requireOther(checkpoint);
        GgufExport.write(checkpoint, mix, output).forEach(this::tellOtherType);
    }

    private void tellOtherType(GgufExport.OtherType other, long weights) {
        spec.commandLine()
                .getErr()
                .printf(
                        "noted      %d weights are %s: their rows of %d are no multiple of %d, as %s"
                                + " needs%n",
                        weights,
                        other.stored(),
                        other.numbers(),
                        other.asked().block(),
                        other.asked());
    }

    /// Refuses to replace a file of the model, which is read while the other is written.
    private void requireOther(Checkpoint checkpoint) {
        Path folder = checkpoint.folder();
        try (var files = Files.list(folder)) {
            Stream<Path> weights = checkpoint.entries().values().stream().map(TensorEntry::file);
            Stream<Path> others = files.filter(each -> !each.toString().endsWith(".gguf"));
            for (Path file : Stream.concat(weights, others).distinct().toList()) {
                if (Files.exists(output) && Files.exists(file) && Files.isSameFile(file, output)) {
                    throw LitheException.badInput(
                            "%s is a file of the model to export; choose another --output", output);
                }
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read (%s)", folder, e.getMessage())
                    .causedBy(e);
        }
    }

    private static long size(Path output) {
        try (var files = Files.walk(output)) {
            long bytes = 0;
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                bytes += Files.size(file);
            }
            return bytes;
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read (%s)", output, e.getMessage())
                    .causedBy(e);
        }
    }
}
