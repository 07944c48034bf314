package dev.lithe.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/// A GGUF file as a model folder: a folder in Lithe's cache with the `config.json` and
/// `tokenizer.json` that the file's values stand for, and a link to the file. The weights stay
/// where they are.
final class GgufFolder {
    /// What the file is called in such a folder.
    static final String NAME = "model.gguf";

    private static final String TOKENIZER = "tokenizer.json";
    private static final String TOKENIZER_CONFIG = "tokenizer_config.json";
    private static final int KEY = 16;
    private static final JsonMapper JSON =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    private GgufFolder() {}

    /// The folder of `file`, made now if there is none yet.
    ///
    /// @throws LitheException where Lithe cannot read the file as a model
    static Path of(Path file) {
        GgufFile gguf = GgufFile.read(file);
        JsonNode config = GgufConfig.of(gguf);
        var vocabulary = new GgufVocabulary(gguf);
        JsonNode tokenizer = vocabulary.tokenizer();
        JsonNode tokenizerConfig = vocabulary.config();
        Path folder = ModelSource.cache().resolve("gguf");
        try {
            Path real = file.toRealPath();
            String key = real + " " + Files.size(real) + " " + Files.getLastModifiedTime(real);
            folder =
                    folder.resolve(
                                    Sha256.of(key.getBytes(StandardCharsets.UTF_8))
                                            .substring(0, KEY))
                            .resolve(stem(file));
            if (!Files.isDirectory(folder)) {
                removeOrphans(ModelSource.cache().resolve("gguf"));
            }
            Files.createDirectories(folder);
            json(folder.resolve("config.json"), config);
            json(folder.resolve(TOKENIZER), tokenizer);
            json(folder.resolve(TOKENIZER_CONFIG), tokenizerConfig);
            link(folder.resolve(NAME), real);
            return folder;
        } catch (IOException | UnsupportedOperationException e) {
            throw LitheException.badInput(
                            "%s cannot be written (%s); set XDG_CACHE_HOME to a folder that can",
                            folder, e.getMessage())
                    .causedBy(e);
        }
    }

    /// Removes the folders of files that are no longer where they were.
    private static void removeOrphans(Path all) throws IOException {
        if (!Files.isDirectory(all)) {
            return;
        }
        try (Stream<Path> links = Files.find(all, 3, (file, _) -> file.endsWith(NAME))) {
            for (Path link : links.filter(each -> !Files.exists(each)).toList()) {
                for (String name : List.of("config.json", TOKENIZER, TOKENIZER_CONFIG, NAME)) {
                    Files.deleteIfExists(link.resolveSibling(name));
                }
                try {
                    Files.deleteIfExists(link.resolve("..").normalize());
                    Files.deleteIfExists(link.resolve("../..").normalize());
                } catch (DirectoryNotEmptyException _) {
                    // someone put something there
                }
            }
        } catch (UncheckedIOException _) {
            // another process removes them
        }
    }

    private static String stem(Path file) {
        String stem =
                file.getFileName()
                        .toString()
                        .replaceFirst("(?i)\\.gguf$", "")
                        .replaceAll("[^A-Za-z0-9._-]", "_");
        return stem.matches("\\.*") ? "model" : stem;
    }

    private static void json(Path file, JsonNode content) throws IOException {
        byte[] bytes = bytes(content);
        if (Files.isRegularFile(file)
                && Files.size(file) == bytes.length
                && Sha256.of(file).equals(Sha256.of(bytes))) {
            return;
        }
        Path temporary = Files.createTempFile(file.getParent(), "json", ".partial");
        Files.write(temporary, bytes);
        Files.move(
                temporary,
                file,
                StandardCopyOption.ATOMIC_MOVE,
                StandardCopyOption.REPLACE_EXISTING);
    }

    private static byte[] bytes(JsonNode content) throws JsonProcessingException {
        return JSON.writeValueAsBytes(content);
    }

    private static void link(Path link, Path to) throws IOException {
        if (Files.isSymbolicLink(link) && Files.readSymbolicLink(link).equals(to)) {
            return;
        }
        Path temporary = Files.createTempDirectory(link.getParent(), "link");
        Path made = Files.createSymbolicLink(temporary.resolve(NAME), to);
        Files.move(made, link, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        Files.delete(temporary);
    }
}
