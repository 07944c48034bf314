package dev.lithe.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// Downloads from a server of this machine that plays the hub, and a second one that plays the
/// store it redirects to; with every fault that downloads meet.
class HubTest {
    private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";
    private static final String WEIGHTS = "model.safetensors";

    @TempDir private Path temporary;

    private final Map<String, byte[]> files = new TreeMap<>();
    private final List<String> requests = Collections.synchronizedList(new ArrayList<>());
    private final Map<String, Integer> faults = new ConcurrentHashMap<>();
    private HttpServer hub;
    private HttpServer store;
    private int status = 200;
    private @Nullable String location;
    private final CountDownLatch stopped = new CountDownLatch(1);

    @BeforeEach
    void start() throws IOException {
        Path model = TinyModel.small().write(temporary.resolve("model"));
        try (var listed = Files.list(model)) {
            for (Path file : listed.toList()) {
                files.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        }
        files.put("pytorch_model.bin", new byte[1000]);
        files.put("README.md", new byte[10]);
        files.put("LICENSE/../../../outside", new byte[10]);
        hub = server(this::answer);
        store = server(this::send);
    }

    private static HttpServer server(com.sun.net.httpserver.HttpHandler handler)
            throws IOException {
        var server =
                HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", handler);
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.start();
        return server;
    }

    @AfterEach
    void stop() {
        stopped.countDown();
        hub.stop(0);
        store.stop(0);
    }

    private static String address(HttpServer server) {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    private void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        requests.add(path);
        @Nullable String token = exchange.getRequestHeaders().getFirst("Authorization");
        if (status != 200 && !"Bearer secret".equals(token)) {
            exchange.sendResponseHeaders(status, -1);
        } else if (faults.merge("busy", -1, Integer::sum) >= 0) {
            exchange.getResponseHeaders().add("Retry-After", "0");
            exchange.sendResponseHeaders(429, -1);
        } else if (path.equals("/api/models/org/tiny/revision/main")) {
            byte[] listing = listing();
            exchange.sendResponseHeaders(200, listing.length);
            exchange.getResponseBody().write(listing);
        } else if (path.endsWith(WEIGHTS)) {
            exchange.getResponseHeaders()
                    .add("Location", location == null ? address(store) + path : location);
            exchange.sendResponseHeaders(302, -1);
        } else if (path.startsWith("/org/tiny/resolve/" + COMMIT + "/")) {
            send(exchange);
            return;
        } else {
            exchange.sendResponseHeaders(404, -1);
        }
        exchange.close();
    }

    private byte[] listing() {
        ObjectNode root = new JsonMapper().createObjectNode().put("sha", COMMIT);
        ArrayNode siblings = root.putArray("siblings");
        files.forEach((name, content) -> {
            ObjectNode file = siblings.addObject().put("rfilename", name);
            file.put("blobId", gitHash(content));
            if (!faults.containsKey("silent")) {
                file.put("size", content.length);
            }
            if (name.equals(WEIGHTS)) {
                file.putObject("lfs").put("sha256", Sha256.of(content)).put("size", content.length);
            }
        });
        return root.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static String gitHash(byte[] content) {
        try {
            var sha1 = MessageDigest.getInstance("SHA-1");
            sha1.update(("blob " + content.length + "\0").getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(sha1.digest(content));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    /// Sends a file, from where it is asked for; breaks off, or sends other bytes, where told to.
    private void send(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        if (exchange.getLocalAddress().getPort() == store.getAddress().getPort()) {
            requests.add("store " + path);
            assertThat(exchange.getRequestHeaders().containsKey("Authorization")).isFalse();
        }
        byte[] content = files.get(path.substring(path.lastIndexOf('/') + 1)).clone();
        if (faults.getOrDefault("wrong", 0) > 0 && path.endsWith(WEIGHTS)) {
            content[content.length / 2] ^= 1;
        }
        @Nullable String range = exchange.getRequestHeaders().getFirst("Range");
        int from = range == null ? 0 : Integer.parseInt(range.replaceAll("\\D", ""));
        if (range != null) {
            requests.add("from " + from);
        }
        int end = content.length;
        if (path.endsWith(WEIGHTS)
                && (faults.merge("cut", -1, Integer::sum) >= 0
                        || faults.getOrDefault("stall", 0) > 0)) {
            end = from + (content.length - from) / 2;
        }
        boolean endless = path.endsWith(WEIGHTS) && faults.containsKey("endless");
        exchange.sendResponseHeaders(
                range == null ? 200 : 206, endless ? 0 : content.length - from);
        try {
            exchange.getResponseBody().write(content, from, end - from);
            exchange.getResponseBody().flush();
            if (path.endsWith(WEIGHTS) && faults.merge("stall", -1, Integer::sum) >= 0) {
                stopped.await();
            }
            while (endless) {
                exchange.getResponseBody().write(new byte[1 << 16]);
            }
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        } finally {
            exchange.close();
        }
    }

    private Hub hub(String... settings) {
        Map<String, String> environment = new HashMap<>();
        environment.put("HF_HOME", temporary.resolve("home").toString());
        environment.put("HF_ENDPOINT", address(hub));
        for (int i = 0; i < settings.length; i += 2) {
            environment.put(settings[i], settings[i + 1]);
        }
        return Hub.of(environment, Duration.ofMillis(1), Duration.ofMillis(500));
    }

    private static Path pull(Hub hub, String id) {
        return hub.pull(HubId.require(id), (_, _) -> _ -> {});
    }

    @Test
    void theCacheIsLaidOutAsTheHubsToolsDo() throws IOException {
        var expected = new AtomicLong();
        var came = new AtomicLong();
        Path folder =
                hub("HF_TOKEN", "secret")
                        .pull(
                                HubId.require("org/tiny"),
                                (count, bytes) -> {
                                    assertThat(count).isEqualTo(3);
                                    expected.set(bytes);
                                    return came::addAndGet;
                                });
        assertThat(came.get()).isEqualTo(expected.get());
        Path model = temporary.resolve("home/hub/models--org--tiny");
        assertThat(folder).isEqualTo(model.resolve("snapshots").resolve(COMMIT));
        assertThat(model.resolve("refs/main")).hasContent(COMMIT);
        try (var listed = Files.list(folder)) {
            assertThat(listed.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder("config.json", "tokenizer.json", WEIGHTS);
        }
        String hash = Sha256.of(files.get(WEIGHTS));
        assertThat(Files.readSymbolicLink(folder.resolve(WEIGHTS)))
                .hasToString("../../blobs/" + hash);
        assertThat(requests)
                .noneMatch(path -> path.contains("pytorch_model") || path.contains("outside"));
        try (Decoder decoder = Decoder.open(folder)) {
            assertThat(decoder.spec().layers()).isEqualTo(2);
        }
        requests.clear();
        assertThat(pull(hub(), "org/tiny")).isEqualTo(folder);
        assertThat(requests).containsExactly("/api/models/org/tiny/revision/main");
    }

    @Test
    void aCutConnectionIsTakenUpWhereItBroke() throws IOException {
        faults.put("cut", 2);
        Path folder = pull(hub(), "org/tiny");
        int size = files.get(WEIGHTS).length;
        List<Integer> starts =
                requests.stream()
                        .filter(each -> each.startsWith("from "))
                        .map(each -> Integer.valueOf(each.substring("from ".length())))
                        .toList();
        assertThat(starts).hasSize(2).isSorted(); // what was on its way when it broke may be lost
        assertThat(starts.getFirst()).isBetween(1, size / 2);
        assertThat(starts.getLast()).isBetween(starts.getFirst() + 1, size * 3 / 4);
        assertThat(Files.readAllBytes(folder.resolve(WEIGHTS))).isEqualTo(files.get(WEIGHTS));
    }

    @Test
    void whatAnEarlierPullLeftIsKept() throws IOException {
        faults.put("cut", 100);
        assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("try again later, what is here is kept");
        assertThat(temporary.resolve("home/hub/models--org--tiny/refs/main")).doesNotExist();
        faults.clear();
        requests.clear();
        Path folder = pull(hub(), "org/tiny");
        assertThat(requests).anyMatch(request -> request.matches("from [1-9]\\d*"));
        assertThat(Files.readAllBytes(folder.resolve(WEIGHTS))).isEqualTo(files.get(WEIGHTS));
    }

    @Test
    void aWrongHashIsNotKept() {
        faults.put("wrong", 1);
        assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                .hasMessageContaining("the hub promised " + Sha256.of(files.get(WEIGHTS)));
        faults.clear();
        assertThat(pull(hub(), "org/tiny").resolve(WEIGHTS)).hasBinaryContent(files.get(WEIGHTS));
    }

    @Test
    void aBusyHubIsAskedAgain() {
        faults.put("busy", 3);
        assertThat(pull(hub(), "org/tiny")).exists();
        faults.put("busy", 1000);
        assertThatThrownBy(
                        () -> pull(hub("HF_HOME", temporary.resolve("new").toString()), "org/tiny"))
                .hasMessageContaining("the hub answers with status 429, 5 times");
    }

    @Test
    void aGatedModelSaysWhatItNeeds() {
        status = 401;
        assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                .hasMessageContaining("org/tiny is gated or private (status 401)");
        status = 403;
        assertThatThrownBy(() -> pull(hub("HF_TOKEN", "another"), "org/tiny"))
                .hasMessageContaining("the one that is set has not");
        assertThat(pull(hub("HF_TOKEN", "secret"), "org/tiny")).exists();
    }

    @Test
    void aConnectionThatStandsStillIsTakenUpAnew() {
        faults.put("stall", 1);
        assertThat(pull(hub(), "org/tiny").resolve(WEIGHTS)).hasBinaryContent(files.get(WEIGHTS));
        assertThat(requests).contains("from " + files.get(WEIGHTS).length / 2);
        faults.put("stall", 100);
        assertThatThrownBy(
                        () -> pull(hub("HF_HOME", temporary.resolve("new").toString()), "org/tiny"))
                .hasMessageContaining("no byte came for ")
                .hasMessageContaining("what is here is kept");
    }

    @Test
    void moreBytesThanTheHubToldAreRefused() throws IOException {
        faults.put("endless", 1);
        assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                .hasMessageContaining(
                        "sends more than %d bytes, the size that it told"
                                .formatted(files.get(WEIGHTS).length));
        faults.put("silent", 1);
        assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                .hasMessageContaining("sends more than 67108864 bytes, the limit where it tells");
        try (var blobs = Files.list(temporary.resolve("home/hub/models--org--tiny/blobs"))) {
            assertThat(blobs).noneMatch(blob -> blob.toString().endsWith(".incomplete"));
        }
        faults.remove("endless");
        assertThat(pull(hub(), "org/tiny").resolve(WEIGHTS)).hasBinaryContent(files.get(WEIGHTS));
    }

    @Test
    void oneOfTwoPullsIsRefused() {
        Hub second = hub();
        Path folder =
                hub().pull(
                                HubId.require("org/tiny"),
                                (_, _) -> {
                                    assertThatThrownBy(() -> pull(second, "org/tiny"))
                                            .hasMessageContaining(
                                                    "is being written by another run");
                                    return _ -> {};
                                });
        assertThat(pull(second, "org/tiny")).isEqualTo(folder);
    }

    @Test
    void aRedirectToNowhereSaysSo() {
        for (String nowhere :
                List.of("http://a b/", "file:///etc/passwd", "http:///model", "%zz")) {
            location = nowhere;
            assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining(
                            "redirects to '" + nowhere + "', which is no http address");
        }
    }

    @Test
    @EnabledOnOs({OS.LINUX, OS.MAC})
    void theRevisionMayBeReadByWhomeverTheModelMay() throws IOException {
        Path folder = pull(hub(), "org/tiny");
        Path model = folder.getParent().getParent();
        assertThat(Files.getPosixFilePermissions(model.resolve("refs/main")))
                .isEqualTo(Files.getPosixFilePermissions(folder.resolve("config.json")));
    }

    @Test
    void offlineIsTheCacheAlone() {
        assertThatThrownBy(() -> pull(hub("HF_HUB_OFFLINE", "1"), "org/tiny"))
                .hasMessageContaining("org/tiny is not in the cache, and HF_HUB_OFFLINE is set");
        Path folder = pull(hub(), "org/tiny");
        requests.clear();
        assertThat(pull(hub("HF_HUB_OFFLINE", "1"), "org/tiny")).isEqualTo(folder);
        assertThat(pull(hub("HF_HUB_OFFLINE", "1"), "org/tiny@" + COMMIT)).isEqualTo(folder);
        assertThat(requests).isEmpty();
    }

    @Test
    void whatIsMissingSaysSo() {
        assertThatThrownBy(() -> pull(hub(), "org/nothing"))
                .hasMessageContaining("org/nothing is not on the hub http://127.0.0.1");
        assertThatThrownBy(() -> pull(hub(), "org/tiny@v9"))
                .hasMessageContaining("org/tiny@v9 is not on the hub");
        files.remove(WEIGHTS);
        assertThatThrownBy(() -> pull(hub(), "org/tiny"))
                .hasMessageContaining("holds no config.json with safetensors");
        assertThatThrownBy(() -> pull(hub("HF_ENDPOINT", "here"), "org/tiny"))
                .hasMessageContaining("HF_ENDPOINT is 'here'");
        for (String id : List.of("tiny", "a/b/c", "../tiny", "org/..", "org/tiny@../x")) {
            assertThatThrownBy(() -> pull(hub(), id)).hasMessageContaining("is no hub id");
        }
    }
}
