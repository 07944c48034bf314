package dev.lithe.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/// Writes a model folder so that it appears whole or not at all.
///
/// Tensors are appended to a spool inside `<name>.partial` beside the target, then assembled into
/// safetensors files of at most [#MAX_SHARD_BYTES], each flushed to the disk; [#finish] renames the
/// folder to its final name as its last act. Closing without finishing removes what was written;
/// after a crash only the `.partial` folder is left, and the next writer of the same target
/// replaces it. A second writer of the same target is refused while the first is at work.
public final class CheckpointWriter implements AutoCloseable {
    /// As the hub's tools cut their shards.
    static final long MAX_SHARD_BYTES = 5_000_000_000L;

    private static final int COPY_BYTES = 8 << 20;

    /// Larger tensors are brought into Java by rows.
    private static final long MAX_COPY_BYTES = 32L << 20;

    private static final JsonMapper JSON =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    private final Path target;
    private final PartialFolder partial;
    private final Path spool;
    private final FileChannel spoolChannel;
    private final List<TensorEntry> entries = new ArrayList<>();
    private final Set<String> names = new HashSet<>();
    private final long maxShardBytes;

    private CheckpointWriter(Path target, PartialFolder partial, long maxShardBytes)
            throws IOException {
        this.target = target;
        this.partial = partial;
        this.spool = partial.path().resolve("tensors.spool");
        this.spoolChannel =
                FileChannel.open(spool, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        this.maxShardBytes = maxShardBytes;
    }

    /// Starts writing the folder `target`, which must not exist unless `replace` is set.
    public static CheckpointWriter open(Path target, boolean replace) {
        return open(target, replace, MAX_SHARD_BYTES);
    }

    static CheckpointWriter open(Path target, boolean replace, long maxShardBytes) {
        Path absolute = target.toAbsolutePath().normalize();
        try {
            PartialFolder partial = PartialFolder.open(absolute, replace);
            try {
                return new CheckpointWriter(absolute, partial, maxShardBytes);
            } catch (IOException e) {
                partial.close();
                throw e;
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be written: %s", absolute, e.getMessage())
                    .causedBy(e);
        }
    }

    /// Refuses a target that is in the way: anything that exists and may not be replaced, and any
    /// folder that does not look like a model of Lithe.
    public static void checkTarget(Path target, boolean replace) {
        PartialFolder.checkTarget(target, replace);
    }

    /// Appends a tensor; each name once.
    public void write(String name, Value tensor) {
        List<Long> shape = Arrays.stream(tensor.shape()).boxed().toList();
        long bytes = tensor.bytes();
        if (shape.isEmpty() || bytes <= MAX_COPY_BYTES) {
            write(name, tensor.dtype(), shape, List.of(tensor::rawBytes));
            return;
        }
        List<Supplier<ByteBuffer>> pieces = new ArrayList<>();
        long step = Math.max(1, MAX_COPY_BYTES / (bytes / shape.getFirst()));
        for (long first = 0; first < shape.getFirst(); first += step) {
            long from = first;
            long to = Math.min(shape.getFirst(), first + step);
            pieces.add(() -> rows(tensor, from, to));
        }
        write(name, tensor.dtype(), shape, pieces);
    }

    private static ByteBuffer rows(Value tensor, long from, long to) {
        try (var scope = TensorScope.open()) {
            return scope.call("rows", tensor, from, to).rawBytes();
        }
    }

    /// Appends a tensor whose bytes come in `pieces`, each made when its turn comes.
    void write(String name, DType dtype, List<Long> shape, List<Supplier<ByteBuffer>> pieces) {
        if (!names.add(name)) {
            throw LitheException.of(Fault.INTERNAL, "tensor '%s' is written twice", name);
        }
        try {
            long offset = spoolChannel.position();
            for (Supplier<ByteBuffer> piece : pieces) {
                ByteBuffer bytes = piece.get();
                while (bytes.hasRemaining()) {
                    int _ = spoolChannel.write(bytes);
                }
            }
            long bytes = spoolChannel.position() - offset;
            entries.add(new TensorEntry(name, dtype, shape, spool, offset, bytes));
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /// Bytes of the tensors written so far.
    public long bytesWritten() {
        return entries.stream().mapToLong(TensorEntry::bytes).sum();
    }

    /// Copies a file of another folder, such as the tokenizer.
    public void copy(Path file) {
        try (InputStream in = Files.newInputStream(file);
                OutputStream out = partial.create(file.getFileName().toString())) {
            in.transferTo(out);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /// Writes a JSON file.
    public void json(String name, JsonNode content) {
        text(name, pretty(content) + "\n");
    }

    /// Writes a text file.
    public void text(String name, String content) {
        try (OutputStream out = partial.create(name)) {
            out.write(content.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /// Assembles the shards, writes `lithe.json` (with the sha256 of every other file under
    /// `files`), and gives the folder its final name.
    ///
    /// @return the folder
    public Path finish(ObjectNode lithe) {
        try {
            spoolChannel.close();
            assemble();
            Files.delete(spool);
            ObjectNode files = lithe.putObject("files");
            partial.sha256().forEach((name, hash) -> files.putObject(name).put("sha256", hash));
            json("lithe.json", lithe);
            partial.publish();
            return target;
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private void assemble() throws IOException {
        List<List<TensorEntry>> shards = shards();
        ObjectNode map = JSON.createObjectNode();
        for (int i = 0; i < shards.size(); i++) {
            String name =
                    shards.size() == 1
                            ? Checkpoint.SINGLE
                            : String.format("model-%05d-of-%05d.safetensors", i + 1, shards.size());
            writeShard(name, shards.get(i));
            shards.get(i).forEach(entry -> map.put(entry.name(), name));
        }
        if (shards.size() > 1) {
            ObjectNode index = JSON.createObjectNode();
            index.putObject("metadata").put("total_size", bytesWritten());
            index.set("weight_map", map);
            json(Checkpoint.INDEX, index);
        }
    }

    private List<List<TensorEntry>> shards() {
        List<List<TensorEntry>> shards = new ArrayList<>(List.of(new ArrayList<>()));
        long bytes = 0;
        for (TensorEntry entry : entries) {
            if (bytes > 0 && bytes + entry.bytes() > maxShardBytes) {
                shards.add(new ArrayList<>());
                bytes = 0;
            }
            shards.getLast().add(entry);
            bytes += entry.bytes();
        }
        return shards;
    }

    /// Wider elements first, so that every tensor lies at a multiple of its element's width.
    private void writeShard(String name, List<TensorEntry> shard) throws IOException {
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
        byte[] json = compact(header);
        int padded = (json.length + 7) / 8 * 8;
        try (OutputStream out = partial.create(name);
                FileChannel source = FileChannel.open(spool, StandardOpenOption.READ)) {
            out.write(
                    ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(padded).array());
            out.write(json);
            out.write(" ".repeat(padded - json.length).getBytes(StandardCharsets.US_ASCII));
            for (TensorEntry entry : ordered) {
                copy(source, entry, out);
            }
        }
    }

    private static void copy(FileChannel source, TensorEntry entry, OutputStream out)
            throws IOException {
        ByteBuffer buffer =
                ByteBuffer.allocate((int) Math.min(COPY_BYTES, Math.max(1, entry.bytes())));
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

    private static String pretty(JsonNode content) {
        try {
            return JSON.writeValueAsString(content);
        } catch (JsonProcessingException e) {
            throw LitheException.internal("JSON cannot be written", e);
        }
    }

    private static byte[] compact(JsonNode content) {
        return content.toString().getBytes(StandardCharsets.UTF_8);
    }

    private LitheException failed(IOException e) {
        return LitheException.of(
                        Fault.INTERNAL,
                        "writing %s failed: %s; is the disk full?",
                        partial.path(),
                        e.getMessage())
                .causedBy(e);
    }

    @Override
    public void close() {
        try (partial) {
            spoolChannel.close();
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
