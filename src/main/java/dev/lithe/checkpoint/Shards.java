package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Assembles spooled tensors into safetensors files.
final class Shards {
    private static final int COPY_BYTES = 1 << 20;
    private static final JsonMapper JSON = new JsonMapper();

    private Shards() {}

    /// Writes one file, or several of at most `maxBytes` of tensors.
    ///
    /// @return the index that several need, else null
    static @Nullable ObjectNode write(
            PartialFolder folder, Path spool, List<TensorEntry> entries, long maxBytes)
            throws IOException {
        List<List<TensorEntry>> shards = split(entries, maxBytes);
        ObjectNode map = JSON.createObjectNode();
        for (int i = 0; i < shards.size(); i++) {
            String name =
                    shards.size() == 1
                            ? Checkpoint.SINGLE
                            : String.format("model-%05d-of-%05d.safetensors", i + 1, shards.size());
            write(folder, name, spool, shards.get(i));
            shards.get(i).forEach(entry -> map.put(entry.name(), name));
        }
        if (shards.size() == 1) {
            return null;
        }
        ObjectNode index = JSON.createObjectNode();
        index.putObject("metadata")
                .put("total_size", entries.stream().mapToLong(TensorEntry::bytes).sum());
        index.set("weight_map", map);
        return index;
    }

    private static List<List<TensorEntry>> split(List<TensorEntry> entries, long maxBytes) {
        List<List<TensorEntry>> shards = new ArrayList<>(List.of(new ArrayList<>()));
        long bytes = 0;
        for (TensorEntry entry : entries) {
            if (bytes > 0 && bytes + entry.bytes() > maxBytes) {
                shards.add(new ArrayList<>());
                bytes = 0;
            }
            shards.getLast().add(entry);
            bytes += entry.bytes();
        }
        return shards;
    }

    /// Wider elements first, so that every tensor lies at a multiple of its element's width.
    private static void write(
            PartialFolder folder, String name, Path spool, List<TensorEntry> shard)
            throws IOException {
        List<TensorEntry> ordered = new ArrayList<>(shard);
        ordered.sort(Comparator.comparingInt((TensorEntry entry) -> -entry.dtype().bytes()));
        ObjectNode header = JSON.createObjectNode();
        header.putObject("__metadata__").put("format", "pt");
        long offset = 0;
        for (TensorEntry entry : ordered) {
            ObjectNode node = header.putObject(entry.name()).put("dtype", entry.dtype().name());
            entry.shape().forEach(node.putArray("shape")::add);
            node.putArray("data_offsets").add(offset).add(offset + entry.bytes());
            offset += entry.bytes();
        }
        byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
        int padded = (json.length + 7) / 8 * 8;
        try (OutputStream out = folder.create(name);
                FileChannel source = FileChannel.open(spool, StandardOpenOption.READ)) {
            out.write(
                    ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(padded).array());
            out.write(json);
            out.write(" ".repeat(padded - json.length).getBytes(StandardCharsets.US_ASCII));
            ByteBuffer buffer = ByteBuffer.allocate(COPY_BYTES);
            for (TensorEntry entry : ordered) {
                copy(source, entry, buffer, out);
            }
        }
    }

    private static void copy(
            FileChannel source, TensorEntry entry, ByteBuffer buffer, OutputStream out)
            throws IOException {
        long end = entry.offset() + entry.bytes();
        for (long position = entry.offset(); position < end; ) {
            buffer.clear().limit((int) Math.min(buffer.capacity(), end - position));
            int read = source.read(buffer, position);
            if (read < 0) {
                throw new IOException("the spool is shorter than what was written to it");
            }
            out.write(buffer.array(), 0, read);
            position += read;
        }
    }
}
