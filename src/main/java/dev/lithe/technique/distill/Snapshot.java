package dev.lithe.technique.distill;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A training on the disk, from which it goes on as if nothing had happened: a few numbers, then
/// the bytes of its tensors one behind the other. It takes the place of the one before as a whole,
/// so a crash leaves one or the other.
///
/// @param step the next step
/// @param best the least held-out loss so far
/// @param bestStep the step before which it was measured
record Snapshot(int step, double best, int bestStep) {
    private static final long MARK = 0x4c49_5448_4531L;
    private static final int HEADER = 5 * Long.BYTES;

    /// Writes `file`.
    void write(Path file, List<Value> tensors) {
        Path next = file.resolveSibling(file.getFileName() + ".next");
        try {
            try (FileChannel channel =
                    FileChannel.open(
                            next,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.TRUNCATE_EXISTING,
                            StandardOpenOption.WRITE)) {
                ByteBuffer header = ByteBuffer.allocate(HEADER);
                header.putLong(MARK).putLong(bytes(tensors)).putLong(step);
                header.putDouble(best).putLong(bestStep).flip();
                while (header.hasRemaining()) {
                    int _ = channel.write(header);
                }
                for (Value tensor : tensors) {
                    tensor.writeTo(channel);
                }
                channel.force(true);
            }
            Path _ = Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw LitheException.of(
                            Fault.INTERNAL,
                            "writing %s failed: %s; is the disk full?",
                            file,
                            e.getMessage())
                    .causedBy(e);
        }
    }

    /// Fills `tensors` with what `file` holds.
    ///
    /// @return null, and nothing is filled, where there is none of such tensors
    static @Nullable Snapshot read(Path file, List<Value> tensors) {
        long size = bytes(tensors);
        if (!Files.isRegularFile(file)) {
            return null;
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
                var scope = TensorScope.open()) {
            ByteBuffer header = ByteBuffer.allocate(HEADER);
            while (header.hasRemaining() && channel.read(header) >= 0) {}
            header.flip();
            if (channel.size() != HEADER + size
                    || header.getLong() != MARK
                    || header.getLong() != size) {
                return null;
            }
            var snapshot =
                    new Snapshot(
                            (int) header.getLong(), header.getDouble(), (int) header.getLong());
            Value bytes = scope.call("map_file", file.toString(), HEADER + size);
            long offset = HEADER;
            for (Value tensor : tensors) {
                Value _ = scope.call("train_fill", tensor, bytes, offset);
                offset += tensor.bytes();
            }
            return snapshot;
        } catch (IOException e) {
            throw LitheException.of(Fault.INTERNAL, "%s cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    private static long bytes(List<Value> tensors) {
        return tensors.stream().mapToLong(Value::bytes).sum();
    }
}
