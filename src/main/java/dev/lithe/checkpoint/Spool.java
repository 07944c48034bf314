package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.Journal.Step;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The tensors of a model in the making, one behind the other in `tensors.spool`, with a [Journal]
/// of finished steps where the writer can be resumed.
final class Spool implements AutoCloseable {
    static final String NAME = "tensors.spool";

    private final Path file;
    private final FileChannel channel;
    private final @Nullable Journal journal;
    private final List<TensorEntry> entries = new ArrayList<>();
    private final Set<String> names = new HashSet<>();
    private int committed;

    private Spool(Path file, FileChannel channel, @Nullable Journal journal) throws IOException {
        this.file = file;
        this.channel = channel;
        this.journal = journal;
        if (journal != null) {
            journal.steps().forEach(step -> entries.addAll(step.tensors()));
            entries.forEach(entry -> names.add(entry.name()));
            committed = entries.size();
        }
        long bytes = journal == null ? 0 : journal.spoolBytes();
        channel.truncate(bytes).position(bytes);
    }

    /// The spool in `folder`, as far as it is a part of what `origin` describes; empty where that
    /// is null.
    static Spool open(Path folder, @Nullable JsonNode origin) throws IOException {
        Path file = folder.resolve(NAME);
        Path lines = folder.resolve(Journal.NAME);
        if (origin == null) {
            boolean _ = Files.deleteIfExists(lines);
        }
        Journal journal = origin == null ? null : Journal.open(lines, file, origin);
        try {
            FileChannel channel =
                    FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            PartialFolder.sync(folder);
            return new Spool(file, channel, journal);
        } catch (IOException e) {
            if (journal != null) {
                journal.close();
            }
            throw e;
        }
    }

    Path file() {
        return file;
    }

    /// Everything written so far.
    List<TensorEntry> entries() {
        return Collections.unmodifiableList(entries);
    }

    /// The finished steps.
    List<Step> steps() {
        return journal == null ? List.of() : journal.steps();
    }

    /// See [Journal#abandoned].
    @Nullable JsonNode abandoned() {
        return journal == null ? null : journal.abandoned();
    }

    /// Some bytes of a tensor.
    @FunctionalInterface
    interface Piece {
        void writeTo(WritableByteChannel spool) throws IOException;
    }

    /// Appends a tensor whose bytes come in `pieces`.
    void write(String name, DType dtype, List<Long> shape, List<Piece> pieces) throws IOException {
        if (!names.add(name)) {
            throw LitheException.of(Fault.INTERNAL, "tensor '%s' is written twice", name);
        }
        long offset = channel.position();
        for (Piece piece : pieces) {
            piece.writeTo(channel);
        }
        entries.add(new TensorEntry(name, dtype, shape, file, offset, channel.position() - offset));
    }

    /// Ends a step: what was written since the last one is on the disk, and counted, when this
    /// returns.
    void commit(String label, JsonNode notes) throws IOException {
        if (journal == null) {
            return;
        }
        channel.force(true);
        List<TensorEntry> written = entries.subList(committed, entries.size());
        journal.append(new Step(label, written, channel.position(), notes));
        committed = entries.size();
    }

    @Override
    public void close() throws IOException {
        try (channel) {
            if (journal != null) {
                journal.close();
            }
        }
    }
}
