package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/// Turns what a user calls a model into a folder: a path, a GGUF file, `demo`, the small model
/// inside the program, or the id of a model that was pulled from the hub.
public final class ModelSource {
    /// The name of the model inside the program.
    public static final String DEMO = "demo";

    private static final List<String> FILES =
            List.of(
                    "config.json",
                    "generation_config.json",
                    "special_tokens_map.json",
                    "tokenizer_config.json",
                    "tokenizer.json",
                    "evaluation.txt",
                    "calibration.txt",
                    "model.safetensors");

    private ModelSource() {}

    /// The folder of `model`.
    ///
    /// @throws LitheException where there is none
    public static Path folder(String model) {
        if (model.equals(DEMO)) {
            return unpackDemo();
        }
        Path folder = Path.of(model);
        boolean gguf = model.toLowerCase(Locale.ROOT).endsWith(".gguf");
        if (gguf && Files.isRegularFile(folder)) {
            return GgufFolder.of(folder);
        }
        if (gguf && !Files.exists(folder)) {
            throw LitheException.badInput("'%s' does not exist; check the path", model);
        }
        if (!Files.isDirectory(folder)) {
            Optional<HubId> id = HubId.of(model);
            if (id.isPresent()) {
                return HubCache.of(System.getenv())
                        .snapshot(id.get())
                        .orElseThrow(() ->
                                LitheException.badInput(
                                        "'%s' is no folder, and no model of that name was pulled from"
                                                + " the hub; check the path, or fetch it: lithe pull %s",
                                        model, model));
            }
            throw LitheException.badInput(
                    "'%s' is no folder; a model is a Hugging Face folder, a .gguf file, an id on the hub, or '%s'",
                    model, DEMO);
        }
        return folder;
    }

    /// The demo's own held-out text.
    public static Path demoEvaluationText() {
        return unpackDemo().resolve("evaluation.txt");
    }

    /// The demo's own calibration text, which shares nothing with the evaluation text.
    public static Path demoCalibrationText() {
        return unpackDemo().resolve("calibration.txt");
    }

    /// Memory mapping needs files, so the resources are copied once into the user's cache folder. A
    /// size that differs means another version of Lithe or a broken copy, and is written anew.
    private static Path unpackDemo() {
        Path folder = cache().resolve(DEMO);
        try {
            Files.createDirectories(folder);
            for (String name : FILES) {
                unpack(name, folder.resolve(name));
            }
            return folder;
        } catch (IOException | UncheckedIOException e) {
            throw LitheException.badInput(
                            "%s cannot be written (%s); set XDG_CACHE_HOME to a folder that can",
                            folder, e.getMessage())
                    .causedBy(e);
        }
    }

    private static void unpack(String name, Path target) throws IOException {
        var url = ModelSource.class.getResource("/demo/" + name);
        if (url == null) {
            throw new IOException("the program lacks its resource demo/" + name);
        }
        var connection = url.openConnection();
        try (InputStream in = connection.getInputStream()) {
            if (Files.exists(target) && Files.size(target) == connection.getContentLengthLong()) {
                return;
            }
            Path temporary = Files.createTempFile(target.getParent(), name, ".partial");
            Files.copy(in, temporary, StandardCopyOption.REPLACE_EXISTING);
            Files.move(
                    temporary,
                    target,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /// Where Lithe keeps what it can make again: `lithe` in the user's cache folder.
    public static Path cache() {
        String configured = System.getenv("XDG_CACHE_HOME");
        Path base =
                configured == null || configured.isBlank()
                        ? Path.of(System.getProperty("user.home"), ".cache")
                        : Path.of(configured);
        return base.resolve("lithe");
    }
}
