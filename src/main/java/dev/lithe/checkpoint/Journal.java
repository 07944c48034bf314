package dev.lithe.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// `journal.jsonl`: what a writer has finished, so that a later one can go on from there.
///
/// Its first line tells what is being made; each other line is one finished step, with the tensors
/// that it wrote and the length of the spool behind them. A line counts once it ends and the spool
/// is as long as it says: what a crash left behind that is dropped.
final class Journal implements AutoCloseable {
    static final String NAME = "journal.jsonl";

    private static final JsonMapper JSON = new JsonMapper();

    /// A finished step.
    ///
    /// @param notes whatever the caller wants back
    record Step(String label, List<TensorEntry> tensors, long spoolBytes, JsonNode notes) {
        Step {
            tensors = List.copyOf(tensors);
        }
    }

    private final FileChannel channel;
    private final List<Step> steps;
    private final @Nullable JsonNode abandoned;

    private Journal(FileChannel channel, List<Step> steps, @Nullable JsonNode abandoned) {
        this.channel = channel;
        this.steps = steps;
        this.abandoned = abandoned;
    }

    /// Continues the journal `file` where it is one of the same `origin`, else starts it.
    ///
    /// @param spool where the tensors lie
    static Journal open(Path file, Path spool, JsonNode origin) throws IOException {
        List<String> lines = wholeLines(file);
        JsonNode earlier = lines.isEmpty() ? null : parse(lines.getFirst());
        boolean same = earlier != null && earlier.toString().equals(origin.toString());
        List<Step> steps = new ArrayList<>();
        long bytes = 0;
        if (same) {
            bytes = length(lines.getFirst());
            for (String line : lines.subList(1, lines.size())) {
                Step step = step(line, spool);
                if (step == null) {
                    break;
                }
                steps.add(step);
                bytes += length(line);
            }
        }
        FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            channel.truncate(bytes).position(bytes);
            var journal = new Journal(channel, steps, same ? null : earlier);
            if (!same) {
                journal.append(origin.toString());
            }
            return journal;
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    private static List<String> wholeLines(Path file) throws IOException {
        if (!Files.exists(file)) {
            return List.of();
        }
        String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
        return text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
    }

    private static long length(String line) {
        return line.getBytes(StandardCharsets.UTF_8).length + 1L;
    }

    private static @Nullable JsonNode parse(String line) {
        try {
            JsonNode node = JSON.readTree(line);
            return node.isObject() ? node : null;
        } catch (JsonProcessingException _) {
            return null;
        }
    }

    private static @Nullable Step step(String line, Path spool) throws IOException {
        JsonNode node = parse(line);
        long held = Files.exists(spool) ? Files.size(spool) : 0;
        if (node == null || node.path("spool").asLong(Long.MAX_VALUE) > held) {
            return null;
        }
        List<TensorEntry> tensors = new ArrayList<>();
        node.path("tensors").forEach(tensor -> tensors.add(entry(tensor, spool)));
        return new Step(
                node.path("step").asText(),
                tensors,
                node.path("spool").asLong(),
                node.path("notes"));
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
        return abandoned;
    }

    /// Adds a step, whose part of the spool is on the disk already; it is there too when this
    /// returns.
    void append(Step step) throws IOException {
        ObjectNode line = JSON.createObjectNode().put("step", step.label());
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
        append(line.toString());
        steps.add(step);
    }

    private void append(String line) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            int _ = channel.write(bytes);
        }
        channel.force(true);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
