package dev.lithe.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
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

/// A file that keeps finished work through a crash: one JSON object a line, the first telling what
/// the work is for. A line counts once it ends; what a crash left behind the last one is dropped.
public final class JsonLines implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();

    private final FileChannel channel;
    private final List<JsonNode> entries = new ArrayList<>();
    private final List<Long> ends = new ArrayList<>();
    private final @Nullable JsonNode abandoned;

    private JsonLines(FileChannel channel, @Nullable JsonNode abandoned) {
        this.channel = channel;
        this.abandoned = abandoned;
    }

    /// Continues `file` where its first line is `origin`, else starts it anew.
    public static JsonLines open(Path file, JsonNode origin) throws IOException {
        List<String> lines = wholeLines(file);
        JsonNode earlier = lines.isEmpty() ? null : parse(lines.getFirst());
        boolean same = earlier != null && earlier.toString().equals(origin.toString());
        FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        var opened = new JsonLines(channel, same ? null : earlier);
        try {
            if (same) {
                opened.take(lines);
            } else {
                channel.truncate(0);
                opened.write(origin);
            }
            return opened;
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /// The whole lines of a file that somebody else may be writing.
    public static List<JsonNode> read(Path file) throws IOException {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : wholeLines(file)) {
            JsonNode node = parse(line);
            if (node == null) {
                break;
            }
            lines.add(node);
        }
        return lines;
    }

    private static List<String> wholeLines(Path file) throws IOException {
        if (!Files.exists(file)) {
            return List.of();
        }
        String text = new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
        return text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
    }

    private static @Nullable JsonNode parse(String line) {
        try {
            JsonNode node = JSON.readTree(line);
            return node.isObject() ? node : null;
        } catch (JsonProcessingException _) {
            return null;
        }
    }

    private void take(List<String> lines) throws IOException {
        long end = length(lines.getFirst());
        ends.add(end);
        for (String line : lines.subList(1, lines.size())) {
            JsonNode node = parse(line);
            if (node == null) {
                break;
            }
            end += length(line);
            entries.add(node);
            ends.add(end);
        }
        keep(entries.size());
    }

    private static long length(String line) {
        return line.getBytes(StandardCharsets.UTF_8).length + 1L;
    }

    /// What is kept, in order.
    public List<JsonNode> entries() {
        return Collections.unmodifiableList(entries);
    }

    /// The first line of a file about something else that was there before; null where there was
    /// none.
    @Nullable JsonNode abandoned() {
        return abandoned;
    }

    /// Drops all but the first `count` entries.
    void keep(int count) throws IOException {
        entries.subList(count, entries.size()).clear();
        ends.subList(count + 1, ends.size()).clear();
        channel.truncate(ends.getLast()).position(ends.getLast());
    }

    /// Adds an entry, which is on the disk when this returns.
    public void append(JsonNode entry) throws IOException {
        write(entry);
        entries.add(entry);
    }

    private void write(JsonNode node) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap((node + "\n").getBytes(StandardCharsets.UTF_8));
        while (bytes.hasRemaining()) {
            int _ = channel.write(bytes);
        }
        channel.force(true);
        ends.add(channel.position());
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
