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
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Writes a model folder so that it appears whole or not at all.
///
/// Tensors are appended to a spool inside `<name>.partial` beside the target, then assembled into
/// safetensors files of at most [#MAX_SHARD_BYTES], each flushed to the disk; [#finish] renames the
/// finished folder to its final name as its last act. Closing without finishing removes what was
/// written. After a crash only the `.partial` folder is left; the next writer of the same target
/// goes on behind the last [#commit] where it makes the same thing, else starts anew. A second
/// writer of the same target is refused while the first is at work.
public final class CheckpointWriter implements AutoCloseable {
    /// As the hub's tools cut their shards.
    static final long MAX_SHARD_BYTES = 5_000_000_000L;

    /// Larger tensors are written by rows.
    private static final long MAX_PIECE_BYTES = 1L << 30;

    private static final JsonMapper JSON =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    /// A step that an earlier writer finished, and the notes that it made of it.
    public record Step(String label, JsonNode notes) {}

    private final Path target;
    private final PartialFolder partial;
    private final Spool spool;
    private final long maxShardBytes;

    private CheckpointWriter(
            Path target, PartialFolder partial, @Nullable JsonNode origin, long maxShardBytes)
            throws IOException {
        this.target = target;
        this.partial = partial;
        this.spool = Spool.open(partial.path(), origin);
        this.maxShardBytes = maxShardBytes;
        if (origin == null || spool.abandoned() != null) {
            boolean _ = Files.deleteIfExists(unfinished());
        }
    }

    /// Starts writing the folder `target`, which must not exist unless `replace` is set.
    public static CheckpointWriter open(Path target, boolean replace) {
        return open(target, replace, null, MAX_SHARD_BYTES);
    }

    /// Writes the folder `target`, which must not exist unless `replace` is set, and goes on where
    /// an earlier writer with an equal `origin` broke off.
    ///
    /// @param origin all that decides what will be written
    public static CheckpointWriter open(Path target, boolean replace, JsonNode origin) {
        return open(target, replace, origin, MAX_SHARD_BYTES);
    }

    static CheckpointWriter open(
            Path target, boolean replace, @Nullable JsonNode origin, long maxShardBytes) {
        Path absolute = target.toAbsolutePath().normalize();
        try {
            PartialFolder partial = PartialFolder.open(absolute, replace);
            try {
                return new CheckpointWriter(absolute, partial, origin, maxShardBytes);
            } catch (IOException e) {
                partial.close();
                throw e;
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be written: %s", absolute, e.getMessage())
                    .causedBy(e);
        }
    }

    /// Bytes of tensors that an unfinished writer left beside `target`.
    public static long bytesLeft(Path target) {
        Path left = PartialFolder.beside(target.toAbsolutePath().normalize()).resolve(Spool.NAME);
        try {
            return Files.exists(left) ? Files.size(left) : 0;
        } catch (IOException _) {
            return 0;
        }
    }

    /// The steps that an earlier writer finished; their tensors are written.
    public List<Step> resumed() {
        return spool.steps().stream().map(step -> new Step(step.label(), step.notes())).toList();
    }

    /// The origin of an unfinished writer that was making something else, and whose work is gone;
    /// null where there was none.
    public @Nullable JsonNode abandoned() {
        return spool.abandoned();
    }

    /// Ends a step: a crash from now on does not cost what was written until here.
    public void commit(String label, JsonNode notes) {
        try {
            spool.commit(label, notes);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /// What is written so far, as a checkpoint with the configuration `config`. Its tensors are
    /// copies in memory of their own. Tensors written later are not in it.
    public Checkpoint written(JsonNode config) {
        return Checkpoint.spooled(partial.path(), config, spool.entries());
    }

    /// A folder for files of the work in progress; they are gone when it ends.
    public Path scratch() {
        return partial.path();
    }

    /// A file for a step in progress. It outlives a crash, until a writer with another `origin` or
    /// the end of the work; what is in it is its writer's own affair.
    public Path unfinished() {
        return partial.path().resolve(PartialFolder.UNFINISHED);
    }

    /// Leaves what was committed for a later writer, instead of removing it when closed.
    public void keep() {
        partial.keep();
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
        if (shape.isEmpty() || bytes <= MAX_PIECE_BYTES) {
            write(name, tensor.dtype(), shape, List.of(tensor::writeTo));
            return;
        }
        List<Spool.Piece> pieces = new ArrayList<>();
        long step = Math.max(1, MAX_PIECE_BYTES / (bytes / shape.getFirst()));
        for (long first = 0; first < shape.getFirst(); first += step) {
            long from = first;
            long to = Math.min(shape.getFirst(), first + step);
            pieces.add(spool -> writeRows(tensor, from, to, spool));
        }
        write(name, tensor.dtype(), shape, pieces);
    }

    private static void writeRows(Value tensor, long from, long to, WritableByteChannel spool)
            throws IOException {
        try (var scope = TensorScope.open()) {
            scope.call("rows", tensor, from, to).writeTo(spool);
        }
    }

    /// Appends a tensor whose bytes come in `pieces`.
    void write(String name, DType dtype, List<Long> shape, List<Spool.Piece> pieces) {
        try {
            spool.write(name, dtype, shape, pieces);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /// Bytes of the tensors written so far.
    public long bytesWritten() {
        return spool.entries().stream().mapToLong(TensorEntry::bytes).sum();
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
            List<TensorEntry> entries = spool.entries();
            ObjectNode index = Shards.write(partial, spool.file(), entries, maxShardBytes);
            if (index != null) {
                json(Checkpoint.INDEX, index);
            }
            ObjectNode files = lithe.putObject("files");
            partial.sha256().forEach((name, hash) -> files.putObject(name).put("sha256", hash));
            json("lithe.json", lithe);
            partial.publish();
            return target;
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private static String pretty(JsonNode content) {
        try {
            return JSON.writeValueAsString(content);
        } catch (JsonProcessingException e) {
            throw LitheException.internal("JSON cannot be written", e);
        }
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
            spool.close();
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
