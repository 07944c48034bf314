package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Machine;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One safetensors file, from which tensors are taken. It is mapped, and its tensors are views; a
/// file that memory could not hold may not be mapped by libtorch (its mappings are writable, and
/// the system counts them as promised memory), so from such a file each tensor is read when it is
/// asked for.
final class TensorFile implements AutoCloseable {
    private static final int READ_BYTES = 1 << 30;

    private final Path file;
    private final int readBytes;
    private final @Nullable TensorScope scope;
    private final @Nullable Value mapped;

    private TensorFile(Path file, boolean map, int readBytes) {
        this.file = file;
        this.readBytes = readBytes;
        this.scope = map ? TensorScope.open() : null;
        this.mapped =
                scope == null
                        ? null
                        : scope.call("map_file", file.toAbsolutePath().toString(), size(file));
    }

    static TensorFile open(Path file) {
        return new TensorFile(file, size(file) < Machine.here().memoryBytes() / 2, READ_BYTES);
    }

    /// One that reads, at most `readBytes` at a time, as if memory were too small to map it.
    static TensorFile unmapped(Path file, int readBytes) {
        return new TensorFile(file, false, readBytes);
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    /// The tensor at `entry`, in its stored type.
    Value load(TensorEntry entry, TensorScope into) {
        long[] shape = entry.shape().stream().mapToLong(Long::longValue).toArray();
        int type = entry.dtype().code();
        if (mapped == null) {
            try (var step = TensorScope.open()) {
                return into.call("reinterpret", read(entry, step), 0, type, shape);
            }
        }
        boolean aligned = entry.offset() % entry.dtype().bytes() == 0;
        return into.call(aligned ? "reinterpret" : "copy_of", mapped, entry.offset(), type, shape);
    }

    /// The same in memory of its own.
    Value copy(TensorEntry entry, TensorScope into) {
        if (mapped == null) {
            return load(entry, into);
        }
        long[] shape = entry.shape().stream().mapToLong(Long::longValue).toArray();
        return into.call("copy_of", mapped, entry.offset(), entry.dtype().code(), shape);
    }

    private Value read(TensorEntry entry, TensorScope step) {
        List<Value> pieces = new ArrayList<>();
        try (var channel = FileChannel.open(file, StandardOpenOption.READ)) {
            for (long done = 0; done < entry.bytes() || pieces.isEmpty(); done += readBytes) {
                ByteBuffer piece =
                        ByteBuffer.allocate((int) Math.min(readBytes, entry.bytes() - done));
                while (piece.hasRemaining()) {
                    if (channel.read(piece, entry.offset() + done + piece.position()) < 0) {
                        throw LitheException.badInput("%s: became shorter while it was read", file);
                    }
                }
                pieces.add(step.bytes(piece.flip()));
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
        return pieces.size() == 1 ? pieces.getFirst() : step.call("concat_rows", step.list(pieces));
    }

    @Override
    public void close() {
        if (scope != null) {
            scope.close();
        }
    }
}
