package dev.lithe.evaluate;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.TensorEntry;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.model.Part.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// How large a model is on disk.
///
/// @param weightBytes of the files that hold its tensors, headers included
/// @param folderBytes of every file in its folder
/// @param parameters that its configuration gives it, however they are stored
/// @param linears how many linear layers are stored in each form, by the form's label; the
///   embedding counts where it is not dense
public record ModelSize(
        long weightBytes, long folderBytes, long parameters, Map<String, Integer> linears) {
    private static final int BITS = 8;

    public ModelSize {
        linears = Map.copyOf(linears);
    }

    /// Measures the model in `folder`; reads headers only.
    public static ModelSize of(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            var spec = ModelSpec.of(checkpoint.config(), folder + "/config.json");
            return new ModelSize(
                    weightBytes(checkpoint),
                    bytes(folder),
                    spec.parameters(),
                    linears(checkpoint, spec));
        }
    }

    /// Bits of the weight files by parameter, scales and headers included.
    public double bitsPerWeight() {
        return (double) BITS * weightBytes / parameters;
    }

    private static Map<String, Integer> linears(Checkpoint checkpoint, ModelSpec spec) {
        var reader = new LinearReader(checkpoint);
        Map<String, Integer> linears = new TreeMap<>();
        for (Part part : Architecture.parts(spec)) {
            for (LinearName linear : part.linears()) {
                LinearForm form = reader.form(linear);
                if (part.kind() != Kind.EMBEDDING || !(form instanceof LinearForm.Dense)) {
                    linears.merge(form.label(), 1, Integer::sum);
                }
            }
        }
        return linears;
    }

    private static long weightBytes(Checkpoint checkpoint) {
        return checkpoint.entries().values().stream()
                .map(TensorEntry::file)
                .distinct()
                .mapToLong(ModelSize::size)
                .sum();
    }

    private static long bytes(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(Files::isRegularFile).mapToLong(ModelSize::size).sum();
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be listed: %s", folder, e.getMessage())
                    .causedBy(e);
        }
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }
}
