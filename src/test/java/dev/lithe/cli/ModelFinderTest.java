package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A model that is not here yet, from a server of this machine that plays the hub.
class ModelFinderTest {
    private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

    @TempDir private Path temporary;

    private final Map<String, byte[]> files = new TreeMap<>();
    private final AtomicInteger requests = new AtomicInteger();
    private final StringWriter err = new StringWriter();
    private Path model;
    private HttpServer hub;

    @BeforeEach
    void start() throws IOException {
        model = TinyModel.small().write(temporary.resolve("model"));
        try (var listed = Files.list(model)) {
            for (Path file : listed.toList()) {
                files.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        }
        hub = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        hub.createContext("/", this::answer);
        hub.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        hub.start();
    }

    @AfterEach
    void stop() {
        hub.stop(0);
    }

    private void answer(HttpExchange exchange) throws IOException {
        requests.incrementAndGet();
        String path = exchange.getRequestURI().getPath();
        byte[] content =
                path.equals("/api/models/org/tiny/revision/main")
                        ? listing()
                        : files.get(path.replace("/org/tiny/resolve/" + COMMIT + "/", ""));
        exchange.sendResponseHeaders(
                content == null ? 404 : 200, content == null ? -1 : content.length);
        if (content != null) {
            exchange.getResponseBody().write(content);
        }
        exchange.close();
    }

    private byte[] listing() {
        ObjectNode root = new JsonMapper().createObjectNode().put("sha", COMMIT);
        ArrayNode siblings = root.putArray("siblings");
        files.forEach((name, content) ->
                siblings.addObject()
                        .put("rfilename", name)
                        .put("blobId", hash(content))
                        .put("size", content.length));
        return root.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static String hash(byte[] content) {
        try {
            var sha1 = MessageDigest.getInstance("SHA-1");
            sha1.update(("blob " + content.length + "\0").getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(sha1.digest(content));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    private Path find(String name, String... settings) {
        Map<String, String> environment = new HashMap<>();
        environment.put("HF_HOME", temporary.resolve("home").toString());
        environment.put("HF_ENDPOINT", "http://127.0.0.1:" + hub.getAddress().getPort());
        for (int i = 0; i < settings.length; i += 2) {
            environment.put(settings[i], settings[i + 1]);
        }
        return ModelFinder.folder(name, environment, new PrintWriter(err, true));
    }

    @Test
    void anIdThatIsNotHereIsFetchedOnce() {
        Path folder = find("org/tiny");
        assertThat(err.toString())
                .contains("pull       'org/tiny' is no folder and not in the cache")
                .contains("MB         ");
        files.forEach(
                (name, content) -> assertThat(folder.resolve(name)).hasBinaryContent(content));
        int asked = requests.get();
        assertThat(asked).isEqualTo(1 + files.size());
        assertThat(find("org/tiny")).isEqualTo(folder);
        assertThat(requests).hasValue(asked);
    }

    @Test
    void aFolderIsItself() {
        assertThat(find(model.toString())).isEqualTo(model);
        assertThat(requests).hasValue(0);
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void troubleIsAsPullHasIt() {
        assertThatThrownBy(() -> find("org/tiny", "HF_HUB_OFFLINE", "1"))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("org/tiny is not in the cache, and HF_HUB_OFFLINE is set");
        assertThat(requests).hasValue(0);
        assertThatThrownBy(() -> find("org/nothing"))
                .hasMessageContaining("org/nothing is not on the hub");
        assertThatThrownBy(() -> find("nothing")).hasMessageContaining("'nothing' is no folder");
    }
}
