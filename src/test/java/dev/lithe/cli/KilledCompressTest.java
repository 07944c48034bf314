package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.TinyModel;
import dev.lithe.model.Decoder;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `lithe compress` in a process of its own that dies at any moment: the result is absent or whole,
/// and the next run is not in its way.
class KilledCompressTest {
    private static final long SEED = 21;
    private static final int KILLS = 8;
    private static final int WORKING_MS = 700;
    private static final int FINISHING_MS = 30;
    private static final long START_SECONDS = 60;

    @TempDir private Path folder;

    @Test
    void theResultIsNeverHalfWritten() throws Exception {
        TinyModel.small().width(128, 384).heads(8, 4, 16).layers(5).write(folder.resolve("model"));
        Path target = folder.resolve("made");
        var random = new Random(SEED);
        int whole = 0;
        int working = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Path log = folder.resolve("log.txt");
            boolean finishing = kill % 2 == 1;
            long after = random.nextInt(finishing ? FINISHING_MS : WORKING_MS);
            Process process = start(log, target);
            try {
                Path partial = folder.resolve("made.partial");
                await(finishing ? partial.resolve("lithe.json") : partial, process, log);
                working += process.waitFor(after, TimeUnit.MILLISECONDS) ? 0 : 1;
            } finally {
                process.destroyForcibly().waitFor();
            }
            if (Files.exists(target)) {
                check(target, "seed %d, kill %d after %d ms".formatted(SEED, kill, after));
                whole++;
            }
        }
        assertThat(working).as("kills that found it at work, seed %d", SEED).isPositive();
        assertThat(whole).as("kills that found a finished model, seed %d", SEED).isPositive();
        Process last = start(folder.resolve("log.txt"), target);
        assertThat(last.waitFor()).as(Files.readString(folder.resolve("log.txt"))).isZero();
        check(target, "the run after");
        try (var left = Files.list(folder)) {
            assertThat(left.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder("model", "made", "log.txt");
        }
    }

    private Process start(Path log, Path target) throws IOException {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:TieredStopAtLevel=1",
                                "-XX:+UseSerialGC",
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                System.getProperty("java.class.path"),
                                "dev.lithe.cli.Main"));
        command.addAll(
                List.of(
                        "compress",
                        folder.resolve("model").toString(),
                        "--force",
                        "--no-evaluate",
                        "-o",
                        target.toString()));
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
    }

    private static void await(Path file, Process process, Path log) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (!Files.exists(file)
                && System.nanoTime() < deadline
                && !process.waitFor(1, TimeUnit.MILLISECONDS)) {
            // not yet
        }
        assertThat(process.isAlive() || process.exitValue() == 0)
                .as(Files.readString(log))
                .isTrue();
    }

    private static void check(Path made, String when) throws Exception {
        var files = new JsonMapper().readTree(made.resolve("lithe.json").toFile()).path("files");
        assertThat(files.size()).as(when).isPositive();
        for (var file : files.properties()) {
            byte[] content = Files.readAllBytes(made.resolve(file.getKey()));
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(content);
            assertThat(HexFormat.of().formatHex(hash))
                    .as("%s: %s", when, file.getKey())
                    .isEqualTo(file.getValue().path("sha256").asText());
        }
        try (Decoder decoder = Decoder.open(made);
                var scope = TensorScope.open()) {
            var cache = decoder.newCache(1, 4, scope);
            float[] logits =
                    decoder.forward(scope.tensor(new long[] {1, 2}, 1, 2), 0, cache, false, scope)
                            .floats();
            assertThat(logits).as(when).hasSize(decoder.spec().vocabSize());
        }
    }
}
