package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// `journal.jsonl`: what a writer has finished, so that a later one can go on from there.
///
/// Its first line tells what is being made; each other line is one finished step, with the tensors
/// that it wrote and the length of the spool behind them. A step counts only if the spool is as
/// long as it says.
final class Journal implements AutoCloseable {
    static final String NAME = "journal.jsonl";

    /// A finished step.
    ///
    /// @param notes whatever the caller wants back
    record Step(String label, List<TensorEntry> tensors, long spoolBytes, JsonNode notes) {
        Step {
            tensors = List.copyOf(tensors);
        }
    }

    private final JsonLines lines;
    private final List<Step> steps;

    private Journal(JsonLines lines, List<Step> steps) {
        this.lines = lines;
        this.steps = steps;
    }

    /// Continues the journal `file` where it is one of the same `origin`, else starts it.
    ///
    /// @param spool where the tensors lie
    static Journal open(Path file, Path spool, JsonNode origin) throws IOException {
        JsonLines lines = JsonLines.open(file, origin);
        try {
            List<Step> steps = new ArrayList<>();
            long held = Files.exists(spool) ? Files.size(spool) : 0;
            for (JsonNode line : lines.entries()) {
                if (line.path("spool").asLong(Long.MAX_VALUE) > held) {
                    break;
                }
                steps.add(step(line, spool));
            }
            lines.keep(steps.size());
            return new Journal(lines, steps);
        } catch (IOException e) {
            lines.close();
            throw e;
        }
    }

    private static Step step(JsonNode line, Path spool) {
        List<TensorEntry> tensors = new ArrayList<>();
        line.path("tensors").forEach(tensor -> tensors.add(entry(tensor, spool)));
        return new Step(
                line.path("step").asText(),
                tensors,
                line.path("spool").asLong(),
                line.path("notes"));
    }

    private static TensorEntry entry(JsonNode tensor, Path spool) {
        List<Long> shape = new ArrayList<>();
        tensor.path("shape").forEach(size -> shape.add(size.asLong()));
        return new TensorEntry(
                tensor.path("name").asText(),
                DType.valueOf(tensor.path("dtype").asText()),
                shape,
                spool,
                tensor.path("offset").asLong(),
                tensor.path("bytes").asLong());
    }

    /// The steps so far, in order.
    List<Step> steps() {
        return Collections.unmodifiableList(steps);
    }

    /// Bytes of the spool that belong to them.
    long spoolBytes() {
        return steps.isEmpty() ? 0 : steps.getLast().spoolBytes();
    }

    /// What an earlier writer, that was making something else, said of it; null where there was
    /// none.
    @Nullable JsonNode abandoned() {
        return lines.abandoned();
    }

    /// Adds a step, whose part of the spool is on the disk already; it is there too when this
    /// returns.
    void append(Step step) throws IOException {
        ObjectNode line = JsonNodeFactory.instance.objectNode().put("step", step.label());
        line.put("spool", step.spoolBytes());
        ArrayNode tensors = line.putArray("tensors");
        for (TensorEntry entry : step.tensors()) {
            ObjectNode node =
                    tensors.addObject()
                            .put("name", entry.name())
                            .put("dtype", entry.dtype().name());
            entry.shape().forEach(node.putArray("shape")::add);
            node.put("offset", entry.offset()).put("bytes", entry.bytes());
        }
        line.set("notes", step.notes());
        lines.append(line);
        steps.add(step);
    }

    @Override
    public void close() throws IOException {
        lines.close();
    }
}
