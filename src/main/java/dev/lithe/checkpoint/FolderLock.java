package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// One writer's claim on a folder: a locked file inside it, which the system unlocks when the
/// process dies.
public final class FolderLock implements AutoCloseable {
    static final String NAME = ".lock";

    /// Folders claimed by this process. A second claim must not even open the file: on POSIX
    /// systems closing any of a process's descriptors of a file gives up its lock.
    private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

    private final Path folder;
    private final FileChannel channel;

    private FolderLock(Path folder, FileChannel channel) {
        this.folder = folder;
        this.channel = channel;
    }

    /// Claims `folder`.
    ///
    /// @throws LitheException where another writer has it
    public static FolderLock take(Path folder) throws IOException {
        if (HELD.add(folder)) {
            FileChannel channel = null;
            try {
                channel = tryLock(folder.resolve(NAME));
            } finally {
                if (channel == null) {
                    HELD.remove(folder);
                }
            }
            if (channel != null) {
                return new FolderLock(folder, channel);
            }
        }
        throw LitheException.badInput(
                "%s is being written by another run of Lithe; wait for it, or choose another folder",
                folder);
    }

    /// Whether a writer has a claim on `folder`, now. Those who ask do not disturb each other.
    public static synchronized boolean held(Path folder) throws IOException {
        Path file = folder.resolve(NAME);
        if (HELD.contains(folder)) {
            return true;
        }
        try (var channel = FileChannel.open(file, StandardOpenOption.READ);
                var free = channel.tryLock(0, Long.MAX_VALUE, true)) {
            return free == null;
        } catch (NoSuchFileException _) {
            return false;
        } catch (OverlappingFileLockException _) {
            return true; // claimed by this process just now
        }
    }

    /// Locks `file`, and makes sure that it is still the file of this name: the other writer may
    /// have published its folder between our opening and locking.
    private static @Nullable FileChannel tryLock(Path file) throws IOException {
        try {
            Files.createFile(file);
        } catch (FileAlreadyExistsException _) {
            // left by a crash, or held
        }
        FileChannel channel = null;
        boolean locked = false;
        try {
            Object key = key(file);
            channel = FileChannel.open(file, StandardOpenOption.WRITE);
            locked = channel.tryLock() != null && Objects.equals(key, key(file));
        } catch (NoSuchFileException | OverlappingFileLockException _) {
            // published just now, or held by this process under another name of the folder
        } finally {
            if (channel != null && !locked) {
                channel.close();
            }
        }
        return locked ? channel : null;
    }

    private static @Nullable Object key(Path file) throws IOException {
        return Files.readAttributes(file, BasicFileAttributes.class).fileKey();
    }

    @Override
    public void close() throws IOException {
        try {
            channel.close();
        } finally {
            HELD.remove(folder);
        }
    }
}
