package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Fetches models from a Hugging Face hub into its cache: only the files that Lithe reads, a few at
/// a time, each checked against the hash that the hub tells, and going on where an earlier download
/// broke off.
///
/// The environment says where and how: `HF_ENDPOINT`, `HF_TOKEN` (or the file `token` in
/// `HF_HOME`), `HF_HUB_OFFLINE`, and what [HubCache] reads.
public final class Hub {
    private static final String ENDPOINT = "https://huggingface.co";
    private static final Duration PAUSE = Duration.ofSeconds(1);
    private static final Duration PATIENCE = Duration.ofMinutes(1);
    private static final int BUFFER = 1 << 16;
    private static final int MAX_LISTING = 64 << 20;

    /// Most bytes of a file whose size the hub does not tell.
    private static final long MAX_UNANNOUNCED = 64L << 20;

    private static final long UNKNOWN = -1;
    private static final JsonMapper JSON = new JsonMapper();

    /// Files of the model's own folder: what lies deeper, or says that it does, is not Lithe's.
    private static final Pattern NEEDED =
            Pattern.compile(
                    "config\\.json|generation_config\\.json|tokenizer\\.json|tokenizer_config\\.json"
                            + "|special_tokens_map\\.json|chat_template\\.(jinja|json)|lithe\\.json"
                            + "|LICENSE[\\w.-]*|NOTICE[\\w.-]*");

    private static final Pattern SHARD =
            Pattern.compile("model-\\d+-of-\\d+\\.safetensors|model\\.safetensors\\.index\\.json");
    private static final Pattern HASH = Pattern.compile("[0-9a-f]{40}|[0-9a-f]{64}");

    private final URI endpoint;
    private final @Nullable String token;
    private final boolean offline;
    private final HubCache cache;
    private final Duration pause;
    private final Duration patience;

    private Hub(
            URI endpoint,
            @Nullable String token,
            boolean offline,
            HubCache cache,
            Duration pause,
            Duration patience) {
        this.endpoint = endpoint;
        this.token = token;
        this.offline = offline;
        this.cache = cache;
        this.pause = pause;
        this.patience = patience;
    }

    /// The hub that the environment names.
    public static Hub of(Map<String, String> environment) {
        return of(environment, PAUSE, PATIENCE);
    }

    /// @param pause before the second try
    /// @param patience the longest wait for more of an answer
    static Hub of(Map<String, String> environment, Duration pause, Duration patience) {
        String endpoint = environment.getOrDefault("HF_ENDPOINT", ENDPOINT).replaceFirst("/+$", "");
        if (!endpoint.matches("https?://[^/\\s]+(/\\S*)?")) {
            throw LitheException.badInput(
                    "HF_ENDPOINT is '%s'; it must be an address like %s", endpoint, ENDPOINT);
        }
        String offline = environment.getOrDefault("HF_HUB_OFFLINE", "");
        return new Hub(
                URI.create(endpoint),
                token(environment),
                offline.matches("(?i)1|true|yes|on"),
                HubCache.of(environment),
                pause,
                patience);
    }

    private static @Nullable String token(Map<String, String> environment) {
        @Nullable String token = environment.get("HF_TOKEN");
        Path file = HubCache.home(environment).resolve("token");
        try {
            if (token == null && Files.isRegularFile(file)) {
                token = Files.readString(file);
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be read (%s)", file, e.getMessage())
                    .causedBy(e);
        }
        return token == null || token.isBlank() ? null : token.strip();
    }

    /// Hears of a download.
    @FunctionalInterface
    public interface Listener {
        /// `files` of together `bytes` are to be fetched.
        ///
        /// @return hears how many more bytes have come, 0 for a part that has to come again
        LongConsumer begins(int files, long bytes);
    }

    /// @param size in bytes, or [#UNKNOWN]
    private record RemoteFile(String name, String hash, long size) {
        long limit() {
            return size == UNKNOWN ? MAX_UNANNOUNCED : size;
        }
    }

    /// Fetches the model.
    ///
    /// @return its folder
    /// @throws LitheException where it is missing, gated, out of reach, or pulled by another run
    public Path pull(HubId id, Listener listener) {
        if (offline) {
            return cache.snapshot(id)
                    .orElseThrow(() ->
                            LitheException.badInput(
                                    "%s is not in the cache, and HF_HUB_OFFLINE is set; unset it to fetch the"
                                            + " model",
                                    id));
        }
        try (var client = new HubClient(endpoint, token, pause, patience)) {
            JsonNode listing = listing(client, id);
            String commit = listing.path("sha").asText();
            if (!HASH.matcher(commit).matches()) {
                throw LitheException.of(
                        Fault.INTERNAL, "%s names no commit of %s; is it a hub?", endpoint, id);
            }
            return pull(client, id, commit, needed(listing, id), listener);
        }
    }

    private Path pull(
            HubClient client, HubId id, String commit, List<RemoteFile> files, Listener listener) {
        try (FolderLock _ = cache.lock(id)) {
            List<RemoteFile> missing =
                    files.stream()
                            .filter(file -> !Files.exists(cache.blob(id, file.hash())))
                            .toList();
            long bytes = missing.stream().mapToLong(file -> Math.max(0, file.size())).sum();
            LongConsumer progress = listener.begins(missing.size(), bytes);
            var downloads = new Downloads(progress);
            missing.forEach(file -> downloads.add(one -> fetch(client, id, commit, file, one)));
            downloads.finish();
            files.forEach(file -> cache.link(id, commit, file.name(), file.hash()));
            return cache.finish(id, commit);
        } catch (IOException e) {
            throw cache.failed(e);
        }
    }

    private JsonNode listing(HubClient client, HubId id) {
        var bytes = new ByteArrayOutputStream();
        String path = "/api/models/" + id.repository() + "/revision/" + id.revision();
        client.get(
                path + "?blobs=true",
                id.toString(),
                () -> 0,
                (in, _) -> {
                    bytes.reset();
                    bytes.writeBytes(in.readNBytes(MAX_LISTING));
                });
        try {
            return JSON.readTree(bytes.toByteArray());
        } catch (IOException e) {
            throw LitheException.of(Fault.INTERNAL, "%s does not answer as a hub does", endpoint)
                    .causedBy(e);
        }
    }

    private List<RemoteFile> needed(JsonNode listing, HubId id) {
        List<RemoteFile> all = new ArrayList<>();
        for (JsonNode file : listing.path("siblings")) {
            String hash = file.at("/lfs/sha256").asText(file.path("blobId").asText());
            if (HASH.matcher(hash).matches()) {
                all.add(
                        new RemoteFile(
                                file.path("rfilename").asText(),
                                hash,
                                file.path("size").asLong(UNKNOWN)));
            }
        }
        boolean sharded = all.stream().anyMatch(file -> file.name().equals(Checkpoint.INDEX));
        List<RemoteFile> needed =
                all.stream()
                        .filter(file ->
                                NEEDED.matcher(file.name()).matches()
                                        || (sharded
                                                ? SHARD.matcher(file.name()).matches()
                                                : file.name().equals(Checkpoint.SINGLE)))
                        .toList();
        if (needed.stream().noneMatch(file -> file.name().endsWith(".safetensors"))
                || needed.stream().noneMatch(file -> file.name().equals("config.json"))) {
            throw LitheException.badInput(
                    "%s holds no config.json with safetensors, which Lithe reads; choose another"
                            + " model or revision",
                    id);
        }
        return needed;
    }

    private void fetch(
            HubClient client, HubId id, String commit, RemoteFile file, LongConsumer progress) {
        Path blob = cache.blob(id, file.hash());
        Path partial = blob.resolveSibling(file.hash() + ".incomplete");
        String path = "/" + id.repository() + "/resolve/" + commit + "/" + file.name();
        String what = id + ", " + file.name();
        try {
            Files.createDirectories(blob.getParent());
            if (file.size() == UNKNOWN) {
                Files.deleteIfExists(partial); // how much is missing cannot be told
            }
            progress.accept(size(partial));
            if (size(partial) < file.size() || !Files.exists(partial)) {
                client.get(
                        path,
                        what,
                        () -> size(partial),
                        (in, from) -> append(in, partial, from, file, progress));
            }
            if (size(partial) > file.limit()) {
                Files.delete(partial);
                throw LitheException.of(
                        Fault.UNAVAILABLE,
                        "%s: the hub sends more than %d bytes, %s; pull again",
                        what,
                        file.limit(),
                        file.size() == UNKNOWN
                                ? "the limit where it tells no size"
                                : "the size that it told");
            }
            String hash = hash(partial, file);
            if (!hash.equals(file.hash())) {
                Files.delete(partial);
                throw LitheException.of(
                        Fault.UNAVAILABLE,
                        "%s: its hash is %s, the hub promised %s; pull again",
                        what,
                        hash,
                        file.hash());
            }
            Files.move(partial, blob, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw LitheException.badInput(
                            "%s: cannot be written to %s (%s)", what, partial, e.getMessage())
                    .causedBy(e);
        }
    }

    private static long size(Path file) throws IOException {
        return Files.exists(file) ? Files.size(file) : 0;
    }

    /// Appends what comes, until it is more than the file may have.
    private static void append(
            InputStream in, Path to, long from, RemoteFile file, LongConsumer progress)
            throws IOException {
        try (OutputStream out =
                from == 0
                        ? Files.newOutputStream(to)
                        : Files.newOutputStream(to, StandardOpenOption.APPEND)) {
            byte[] buffer = new byte[BUFFER];
            long length = from;
            for (int n = in.read(buffer); n >= 0 && length <= file.limit(); n = in.read(buffer)) {
                out.write(buffer, 0, n);
                length += n;
                progress.accept(n);
            }
        }
        if (size(to) < file.size()) {
            throw new IOException("after " + size(to) + " of " + file.size() + " bytes");
        }
    }

    /// Large files are named by their sha256, others by the sha1 that git gives them.
    private static String hash(Path file, RemoteFile promised) throws IOException {
        if (promised.hash().length() == 64) {
            return Sha256.of(file);
        }
        try {
            MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
            sha1.update(("blob " + Files.size(file) + "\0").getBytes(StandardCharsets.UTF_8));
            try (InputStream in = Files.newInputStream(file)) {
                in.transferTo(new DigestOutputStream(OutputStream.nullOutputStream(), sha1));
            }
            return HexFormat.of().formatHex(sha1.digest());
        } catch (NoSuchAlgorithmException e) {
            throw LitheException.internal("this JDK has no SHA-1", e);
        }
    }
}
