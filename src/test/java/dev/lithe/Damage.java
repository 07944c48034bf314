package dev.lithe;

import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.ModelFolder.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.function.Consumer;
import org.junit.jupiter.params.provider.Arguments;

/// Something done to a good model folder, and the table rows made of it: name, folder, damage, and
/// a part of the message that must come.
interface Damage {
    void apply(ModelFolder folder) throws IOException;

    static Arguments row(String name, Damage damage, String fragment) {
        return row(name, Kind.SINGLE, damage, fragment);
    }

    static Arguments row(String name, Kind kind, Damage damage, String fragment) {
        return argumentSet(name, kind, damage, fragment);
    }

    static Damage config(Consumer<ObjectNode> change) {
        return folder -> folder.config(change);
    }

    static Damage remove(String tensor) {
        return folder -> folder.tensors(all -> all.remove(tensor));
    }

    static Damage text(String file, String content) {
        return folder -> folder.text(file, content);
    }

    static Damage append(String file, String content) {
        return folder -> Files.writeString(folder.file(file), content, StandardOpenOption.APPEND);
    }

    /// Bytes that no UTF-8 text holds.
    static Damage bytes(String file) {
        byte[] invalid = new byte[1000];
        Arrays.fill(invalid, (byte) 0xfe);
        return folder -> Files.write(folder.file(file), invalid);
    }

    static Damage delete(String file) {
        return folder -> Files.delete(folder.file(file));
    }

    static Damage replaceByFolder(String file) {
        return folder -> {
            Files.delete(folder.file(file));
            Files.createDirectory(folder.file(file));
        };
    }

    /// A pipe that nobody writes to: reading it would wait for ever.
    static Damage replaceByPipe(String file) {
        return folder -> {
            Files.delete(folder.file(file));
            Process made = new ProcessBuilder("mkfifo", folder.file(file).toString()).start();
            try {
                if (made.waitFor() != 0) {
                    throw new IOException("mkfifo failed");
                }
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        };
    }

    /// A file that never ends.
    static Damage linkToZeros(String file) {
        return folder -> {
            Files.delete(folder.file(file));
            Files.createSymbolicLink(folder.file(file), Path.of("/dev/zero"));
        };
    }

    static JsonNode parse(String json) {
        try {
            return JsonMapper.builder()
                    .enable(JsonParser.Feature.INCLUDE_SOURCE_IN_LOCATION)
                    .build()
                    .readTree(json);
        } catch (JsonProcessingException e) {
            throw new AssertionError(json, e);
        }
    }
}
