package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// The folder in which the hub's tools keep models, laid out as theirs so that each finds what
/// another fetched:
///
///     models--org--name/blobs/HASH
///     models--org--name/snapshots/COMMIT/config.json -> ../../blobs/HASH
///     models--org--name/refs/main, which holds COMMIT
public final class HubCache {
    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

    private final Path root;

    /// @param root the folder of all models
    HubCache(Path root) {
        this.root = root;
    }

    /// The one that the environment names: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or in
    /// `~/.cache/huggingface`.
    public static HubCache of(Map<String, String> environment) {
        @Nullable String cache = environment.get("HF_HUB_CACHE");
        return new HubCache(cache == null ? home(environment).resolve("hub") : Path.of(cache));
    }

    static Path home(Map<String, String> environment) {
        @Nullable String home = environment.get("HF_HOME");
        if (home != null) {
            return Path.of(home);
        }
        @Nullable String caches = environment.get("XDG_CACHE_HOME");
        return (caches == null
                        ? Path.of(System.getProperty("user.home"), ".cache")
                        : Path.of(caches))
                .resolve("huggingface");
    }

    Path folder(HubId id) {
        return root.resolve("models--" + id.repository().replace("/", "--"));
    }

    /// Claims the model's folder for one download.
    FolderLock lock(HubId id) throws IOException {
        Files.createDirectories(folder(id));
        return FolderLock.take(folder(id));
    }

    /// The snapshot of `id`, where it is here.
    public Optional<Path> snapshot(HubId id) {
        try {
            Path ref = folder(id).resolve("refs").resolve(id.revision());
            String commit =
                    Files.isRegularFile(ref) ? Files.readString(ref).strip() : id.revision();
            Path snapshot = snapshots(id).resolve(commit);
            return COMMIT.matcher(commit).matches()
                            && Files.isRegularFile(snapshot.resolve("config.json"))
                    ? Optional.of(snapshot)
                    : Optional.empty();
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private Path snapshots(HubId id) {
        return folder(id).resolve("snapshots");
    }

    /// Where the content with `hash` is kept.
    Path blob(HubId id, String hash) {
        return folder(id).resolve("blobs").resolve(hash);
    }

    /// Makes `file` of the snapshot of `commit` the content with `hash`, which is here.
    void link(HubId id, String commit, String file, String hash) {
        try {
            Path snapshot = snapshots(id).resolve(commit);
            Path link = snapshot.resolve(file);
            Files.createDirectories(snapshot);
            Files.deleteIfExists(link);
            Path blob = blob(id, hash);
            try {
                Files.createSymbolicLink(link, snapshot.relativize(blob));
            } catch (UnsupportedOperationException | IOException _) {
                Files.copy(blob, link); // a file system without links
            }
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /// Makes the revision of `id` mean `commit`.
    Path finish(HubId id, String commit) {
        try {
            if (!id.revision().equals(commit)) {
                Path ref = folder(id).resolve("refs").resolve(id.revision());
                Files.createDirectories(ref.getParent());
                Path fresh = ref.resolveSibling(id.revision() + ".partial");
                Files.writeString(fresh, commit);
                Files.move(
                        fresh,
                        ref,
                        StandardCopyOption.ATOMIC_MOVE,
                        StandardCopyOption.REPLACE_EXISTING);
            }
            return snapshots(id).resolve(commit);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    LitheException failed(IOException e) {
        return LitheException.badInput(
                        "%s cannot be used (%s); set HF_HOME to a folder that can",
                        root, e.getMessage())
                .causedBy(e);
    }
}
