package dev.lithe.technique.distill;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What a teacher says at every place of every window, asked once: its likeliest tokens and their
/// log-probabilities, in a file. A student is then judged by those, and by what all other tokens
/// have together.
///
/// Of T - 1 places of a window k float32, then k int32.
final class TeacherTop implements AutoCloseable {
    private final Path file;
    private final Map<long[], Integer> numbers = new IdentityHashMap<>();
    private final long places;
    private final int k;
    private final TensorScope scope = TensorScope.open();
    private final Value bytes;

    /// Asks `teacher`.
    ///
    /// @param windows all that it will be asked of
    /// @param temperature at which probabilities are meant
    /// @param k likeliest tokens that are kept
    /// @param beside a file beside which this one goes; null for a temporary folder
    TeacherTop(
            FlatModel teacher,
            List<long[]> windows,
            double temperature,
            int k,
            @Nullable Path beside) {
        this.places = windows.getFirst().length - 1L;
        this.k = k;
        try {
            this.file =
                    beside == null
                            ? Files.createTempFile("lithe-", ".teacher")
                            : beside.resolveSibling(beside.getFileName() + ".teacher");
            try (FileChannel channel =
                    FileChannel.open(
                            file,
                            StandardOpenOption.CREATE,
                            StandardOpenOption.TRUNCATE_EXISTING,
                            StandardOpenOption.WRITE)) {
                for (long[] window : windows) {
                    numbers.put(window, numbers.size());
                    write(teacher, window, temperature, channel);
                }
            }
        } catch (IOException e) {
            throw LitheException.of(
                            Fault.INTERNAL,
                            "what the teacher says cannot be written: %s; is the disk full?",
                            e.getMessage())
                    .causedBy(e);
        }
        this.bytes = scope.call("map_file", file.toString(), windows.size() * windowBytes());
    }

    private void write(FlatModel teacher, long[] window, double temperature, FileChannel channel)
            throws IOException {
        try (var step = TensorScope.open()) {
            List<Object> arguments = new ArrayList<>();
            arguments.add(Batches.ids(new long[][] {window}, step));
            arguments.addAll(teacher.arguments());
            arguments.add(temperature);
            arguments.add(k);
            for (Value part : step.call("train_teacher_top", arguments.toArray()).members()) {
                part.writeTo(channel);
            }
        }
    }

    private long windowBytes() {
        return 2 * partBytes();
    }

    private long partBytes() {
        return Float.BYTES * places * k;
    }

    /// Of `windows`, which must be among those that it was asked of: log-probabilities (B (T - 1),
    /// k) and tokens.
    Value of(long[][] windows, TensorScope into) {
        List<Value> values = new ArrayList<>();
        List<Value> tokens = new ArrayList<>();
        long[] shape = {places, k};
        for (long[] window : windows) {
            long at = numbers.getOrDefault(window, -1) * windowBytes();
            values.add(into.call("reinterpret", bytes, at, DType.F32.code(), shape));
            tokens.add(into.call("reinterpret", bytes, at + partBytes(), DType.I32.code(), shape));
        }
        Value all = into.call("concat_rows", into.list(values));
        return into.list(List.of(all, into.call("concat_rows", into.list(tokens))));
    }

    @Override
    public void close() {
        scope.close();
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw LitheException.of(
                            Fault.INTERNAL, "%s cannot be removed: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }
}
