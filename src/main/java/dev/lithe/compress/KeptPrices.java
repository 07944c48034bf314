package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.JsonLines;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.model.Part;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What the widths of linears were measured to cost, kept in a file part by part: an allocation
/// that was killed goes on behind the last part that it had measured.
final class KeptPrices implements AutoCloseable {
    private static final String STAGE = "stage";
    private static final String PART = "part";
    private static final String LINEARS = "linears";

    private final Path file;
    private final JsonLines lines;

    private KeptPrices(Path file, JsonLines lines) {
        this.file = file;
        this.lines = lines;
    }

    /// Those in `file`, as far as they are of the same `origin`.
    static KeptPrices open(Path file, JsonNode origin) {
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            return new KeptPrices(file, JsonLines.open(file, origin));
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be written: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// The choices of the linears of `part` in stage number `stage`; null where they are not
    /// measured yet.
    @Nullable Map<LinearName, List<Choice>> of(int stage, Part part) {
        for (JsonNode line : lines.entries()) {
            if (line.path(STAGE).asInt() == stage
                    && line.path(PART).asText().equals(part.label())) {
                return choices(line.path(LINEARS), part);
            }
        }
        return null;
    }

    private static Map<LinearName, List<Choice>> choices(JsonNode linears, Part part) {
        Map<LinearName, List<Choice>> choices = new LinkedHashMap<>();
        for (LinearName name : part.linears()) {
            if (linears.has(name.module())) {
                List<Choice> list = new ArrayList<>();
                for (JsonNode choice : linears.path(name.module())) {
                    list.add(
                            new Choice(
                                    choice.path(0).asInt(),
                                    choice.path(1).asInt(),
                                    choice.path(2).asLong(),
                                    choice.path(3).asDouble()));
                }
                choices.put(name, list);
            }
        }
        return choices;
    }

    /// Keeps what was measured of the linears of `part`.
    void add(int stage, Part part, Map<LinearName, List<Choice>> choices) {
        ObjectNode line = JsonNodeFactory.instance.objectNode().put(STAGE, stage);
        ObjectNode linears = line.put(PART, part.label()).putObject(LINEARS);
        choices.forEach((name, list) -> {
            ArrayNode array = linears.putArray(name.module());
            for (Choice choice : list) {
                array.addArray()
                        .add(choice.bits())
                        .add(choice.groupSize())
                        .add(choice.bytes())
                        .add(choice.cost());
            }
        });
        try {
            lines.append(line);
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be written: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// Removes the file, and its folder unless there is more in it.
    void delete() {
        try {
            Files.deleteIfExists(file);
            Files.delete(file.toAbsolutePath().getParent());
        } catch (IOException _) {
            // the folder holds other legs, or what is left is told of by the next run
        }
    }

    @Override
    public void close() {
        try {
            lines.close();
        } catch (IOException e) {
            throw LitheException.internal(file + " cannot be closed", e);
        }
    }
}
