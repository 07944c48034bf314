package dev.lithe.serve;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import io.github.bucket4j.Bucket;
import jakarta.inject.Singleton;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.eclipse.microprofile.config.inject.ConfigProperty;

/// Who may ask for what. Tokens are in a file, one a line; a line `admin TOKEN` may also change
/// weights; empty lines and those that start with `#` mean nothing. The file is read again when it
/// changes. Without a file everybody may do everything. Each token, or without tokens each address,
/// has a bucket of requests that fills up steadily and holds two seconds' worth.
@Singleton
class Access {
    private static final int MAX_CLIENTS = 10_000;
    private static final long MAX_BYTES = 1L << 20;
    private static final long LOOK_NANOS = 1_000_000_000L;

    /// What one caller may do.
    ///
    /// @param client whose bucket the request is taken from
    record Caller(String client, boolean admin) {}

    private record Token(byte[] hash, boolean admin) {}

    private final Map<String, Bucket> buckets = new LinkedHashMap<>(64, 0.75f, true);
    private Optional<Path> file;
    private double perSecond;
    private List<Token> tokens = List.of();
    private FileTime changed = FileTime.fromMillis(0);
    private long looked;

    Access(
            @ConfigProperty(name = "lithe.tokens") Optional<Path> file,
            @ConfigProperty(name = "lithe.requests-per-second", defaultValue = "0")
                    double perSecond) {
        this.file = file;
        this.perSecond = perSecond;
        configure(file, perSecond);
    }

    final synchronized void configure(Optional<Path> tokenFile, double requestsPerSecond) {
        file = tokenFile;
        perSecond = requestsPerSecond;
        buckets.clear();
        tokens = tokenFile.map(Access::read).orElse(List.of());
        looked = System.nanoTime();
        changed = tokenFile.map(Access::changed).orElse(FileTime.fromMillis(0));
    }

    private static FileTime changed(Path file) {
        try {
            return Files.getLastModifiedTime(file);
        } catch (IOException e) {
            return FileTime.fromMillis(0);
        }
    }

    private static List<Token> read(Path file) {
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw LitheException.badInput(
                        "%s: %d bytes, the limit is %d", file, Files.size(file), MAX_BYTES);
            }
            List<Token> tokens = new ArrayList<>();
            for (String line : Files.readAllLines(file)) {
                String text = line.strip();
                boolean admin = text.startsWith("admin ");
                String token = admin ? text.substring("admin ".length()).strip() : text;
                if (!token.isEmpty() && !token.startsWith("#")) {
                    tokens.add(new Token(hash(token), admin));
                }
            }
            return List.copyOf(tokens);
        } catch (IOException e) {
            throw LitheException.badInput("the tokens %s cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }

    private static byte[] hash(String token) {
        try {
            return MessageDigest.getInstance("SHA-256")
                    .digest(token.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw LitheException.internal("this Java lacks SHA-256", e);
        }
    }

    private void lookAgain() {
        if (file.isEmpty() || System.nanoTime() - looked < LOOK_NANOS) {
            return;
        }
        looked = System.nanoTime();
        FileTime now = changed(file.get());
        if (!now.equals(changed)) {
            try {
                tokens = read(file.get());
                changed = now;
            } catch (LitheException e) {
                System.getLogger(Access.class.getName())
                        .log(System.Logger.Level.ERROR, e.getMessage());
            }
        }
    }

    /// Whether callers need one.
    synchronized boolean asksForTokens() {
        return file.isPresent();
    }

    /// The caller behind a request's `authorization`, if it is let in. All tokens are compared,
    /// each in constant time.
    ///
    /// @param authorization such as `Bearer TOKEN`, or empty
    /// @param address where the request comes from
    synchronized Optional<Caller> caller(String authorization, String address) {
        lookAgain();
        if (file.isEmpty()) {
            return Optional.of(new Caller(address, true));
        }
        boolean bearer = authorization.regionMatches(true, 0, "Bearer ", 0, 7);
        byte[] given = hash(bearer ? authorization.substring(7).strip() : "");
        Optional<Caller> caller = Optional.empty();
        for (int i = 0; i < tokens.size(); i++) {
            if (MessageDigest.isEqual(tokens.get(i).hash(), given) && bearer) {
                caller = Optional.of(new Caller("token " + i, tokens.get(i).admin()));
            }
        }
        return caller;
    }

    /// Takes requests from a caller's bucket.
    ///
    /// @throws LitheException `EXHAUSTED` where it holds fewer, `BAD_INPUT` where it never holds so
    ///   many
    synchronized void admit(Caller caller, int requests) {
        if (perSecond == 0) {
            return;
        }
        if (requests > capacity()) {
            throw LitheException.badInput(
                    "%d more requests in one call, and a client may make %d at once; send fewer",
                    requests, capacity());
        }
        Bucket bucket = buckets.computeIfAbsent(caller.client(), _ -> newBucket());
        if (buckets.size() > MAX_CLIENTS) {
            Iterator<String> oldest = buckets.keySet().iterator();
            oldest.next();
            oldest.remove();
        }
        if (!bucket.tryConsume(requests)) {
            throw LitheException.of(
                            Fault.EXHAUSTED,
                            "more than %s requests per second; send fewer",
                            perSecond)
                    .retryAfter(Duration.ofNanos((long) (requests * 1e9 / perSecond)));
        }
    }

    private long capacity() {
        return Math.max(1, Math.round(2 * perSecond));
    }

    private Bucket newBucket() {
        long capacity = capacity();
        return Bucket.builder()
                .addLimit(limit ->
                        limit.capacity(capacity)
                                .refillGreedy(
                                        capacity,
                                        Duration.ofNanos((long) (capacity / perSecond * 1e9))))
                .build();
    }
}
