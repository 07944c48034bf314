package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// The folder `<name>.partial` beside a target. What will take the target's place once it is whole
/// is made in a folder inside it; beside that lie the spool and the journal of its writer, which
/// survive a crash.
///
/// One writer at a time holds it ([FolderLock]). An old target steps aside to `<name>.replaced`
/// first; a crash between the two renames is mended by the next writer.
final class PartialFolder implements AutoCloseable {
    private static final String LITHE = "lithe.json";
    private static final String CONTENT = "model";

    /// A file in it that a step in progress may write.
    static final String UNFINISHED = "step.unfinished";

    private static final Set<String> SURVIVORS =
            Set.of(FolderLock.NAME, Spool.NAME, Journal.NAME, UNFINISHED);

    private final Path target;
    private final boolean replace;
    private final Path partial;
    private final FolderLock lock;
    private final Map<String, String> sha256 = new TreeMap<>();
    private boolean kept;

    private PartialFolder(Path target, boolean replace, Path partial, FolderLock lock) {
        this.target = target;
        this.replace = replace;
        this.partial = partial;
        this.lock = lock;
    }

    /// The folder for `target`, with no more in it than a spool and a journal.
    static PartialFolder open(Path target, boolean replace) throws IOException {
        checkTarget(target, replace);
        Path partial = beside(target);
        checkOurs(partial, FolderLock.NAME);
        checkOurs(sibling(target, ".replaced"), LITHE);
        Files.createDirectories(partial);
        var folder = new PartialFolder(target, replace, partial, FolderLock.take(partial));
        try {
            folder.recover();
            checkTarget(target, replace);
            folder.clear();
            Files.createDirectory(folder.content());
            return folder;
        } catch (IOException | LitheException e) {
            folder.close();
            throw e;
        }
    }

    /// Refuses a target that is in the way: anything that exists and may not be replaced, and any
    /// folder that does not look like a model of Lithe.
    static void checkTarget(Path target, boolean replace) {
        if (!Files.exists(target)) {
            return;
        }
        if (!replace) {
            throw LitheException.badInput(
                    "%s exists; choose another --output, or add --force", target);
        }
        if (!Files.exists(target.resolve(LITHE))) {
            throw LitheException.badInput(
                    "%s exists and was not written by Lithe, so --force will not replace it; choose another --output",
                    target);
        }
    }

    /// Refuses a folder of the user's that has one of our names: ours hold `mark`, or nothing yet.
    private static void checkOurs(Path folder, String mark) throws IOException {
        if (!Files.exists(folder) || Files.exists(folder.resolve(mark))) {
            return;
        }
        try (var children = Files.list(folder)) {
            if (children.findAny().isPresent()) {
                throw LitheException.badInput(
                        "%s is in the way, and Lithe did not make it; choose another --output",
                        folder);
            }
        }
    }

    /// Where it lies for `target`.
    static Path beside(Path target) {
        return sibling(target, ".partial");
    }

    private static Path sibling(Path target, String suffix) {
        return target.resolveSibling(target.getFileName() + suffix);
    }

    private void recover() throws IOException {
        Path old = sibling(target, ".replaced");
        if (!Files.exists(target) && Files.exists(old)) {
            move(old, target);
        }
    }

    private void clear() throws IOException {
        try (var children = Files.list(partial)) {
            for (Path child : children.toList()) {
                if (!SURVIVORS.contains(child.getFileName().toString())) {
                    deleteTree(child);
                }
            }
        }
    }

    /// Where it is.
    Path path() {
        return partial;
    }

    private Path content() {
        return partial.resolve(CONTENT);
    }

    /// Leaves spool and journal there when closed.
    void keep() {
        kept = true;
    }

    /// The sha256 of each file made by [#create] and closed since.
    Map<String, String> sha256() {
        return Collections.unmodifiableMap(sha256);
    }

    /// A stream into a new file, which is hashed as it is written and flushed to the disk when
    /// closed.
    OutputStream create(String name) throws IOException {
        FileChannel channel =
                FileChannel.open(
                        content().resolve(name),
                        StandardOpenOption.CREATE_NEW,
                        StandardOpenOption.WRITE);
        MessageDigest digest = Sha256.digest();
        return new DigestOutputStream(Channels.newOutputStream(channel), digest) {
            @Override
            public void close() throws IOException {
                if (channel.isOpen()) {
                    channel.force(true);
                    sha256.put(name, HexFormat.of().formatHex(digest.digest()));
                }
                super.close();
            }
        };
    }

    /// Gives the finished folder the target's name; what was there before is deleted afterwards.
    void publish() throws IOException {
        sync(content());
        checkTarget(target, replace);
        Path old = sibling(target, ".replaced");
        deleteTree(old);
        boolean replaces = Files.exists(target);
        if (replaces) {
            move(target, old);
        }
        try {
            move(content(), target);
        } catch (IOException e) {
            recover();
            throw e;
        }
        sync(target.toAbsolutePath().resolveSibling(""));
        deleteTree(old);
    }

    private static void move(Path from, Path to) throws IOException {
        try {
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException _) {
            Files.move(from, to);
        }
    }

    /// Makes the names in `folder` outlast a crash of the system.
    static void sync(Path folder) throws IOException {
        try (var channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /// Deletes `folder`, the file by which it is known to be ours last: a crash on the way leaves a
    /// rest that the next writer may delete.
    private static void deleteTree(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        Path mark = folder.resolve(LITHE);
        try (var paths = Files.walk(folder)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                if (path.equals(folder) && Files.exists(mark)) {
                    Files.delete(mark);
                }
                if (!path.equals(mark)) {
                    Files.delete(path);
                }
            }
        }
    }

    /// Deletes it unless it is to be kept.
    @Override
    public void close() throws IOException {
        try (lock) {
            if (!kept) {
                deleteTree(partial);
            }
        }
    }
}
