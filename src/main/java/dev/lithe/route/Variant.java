package dev.lithe.route;

import dev.lithe.engine.ServedModel;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Device;
import java.nio.file.Path;
import java.util.regex.Pattern;

/// One form of the model under a name, ready to answer.
///
/// @param name letters, digits, `.`, `_` and `-`, at most 64
/// @param memoryBytes bytes of memory that its weights occupy
public record Variant(String name, ServedModel model, long memoryBytes) implements AutoCloseable {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,64}");

    public Variant {
        requireName(name);
    }

    /// Loads a variant from a model folder.
    public static Variant open(String name, Path folder, Device device) {
        requireName(name);
        ServedModel model = ServedModel.open(folder, device);
        return new Variant(name, model, model.decoder().memoryBytes());
    }

    /// Checks a name without loading anything.
    public static String requireName(String name) {
        if (!NAME.matcher(name).matches()) {
            throw LitheException.badInput(
                    "variant name '%s' is not allowed; use up to 64 letters, digits, '.', '_', '-'",
                    name);
        }
        return name;
    }

    /// The folder it was loaded from.
    public Path folder() {
        return model.decoder().folder();
    }

    @Override
    public void close() {
        model.close();
    }
}
