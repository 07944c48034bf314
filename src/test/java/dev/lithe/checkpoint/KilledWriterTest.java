package dev.lithe.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.RawSafetensors;
import dev.lithe.checkpoint.KilledWriter.Announce;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A writer that dies at any moment leaves the final name absent or whole, and no obstacle for the
/// next one.
class KilledWriterTest {
    private static final long SEED = 20;
    private static final int KILLS = 12;
    private static final int LONGEST_MS = 300;

    @TempDir private Path temporary;

    @Test
    void theFinalNameIsNeverHalfWritten() throws Exception {
        Path target = temporary.resolve("model");
        Path errors = temporary.resolve("errors.txt");
        var random = new Random(SEED);
        int whole = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            long after = random.nextInt(LONGEST_MS + 1);
            Process process =
                    KilledWriter.start(
                            target, kill % 2 == 0 ? Announce.EARLY : Announce.LATE, errors);
            boolean alive = KilledWriter.kill(process, after);
            assertThat(alive).as("alive until the kill: %s", Files.readString(errors)).isTrue();
            if (Files.exists(target)) {
                checkWhole(target, "seed %d, kill %d after %d ms".formatted(SEED, kill, after));
                whole++;
            }
        }
        assertThat(whole).as("kills that found a finished model").isPositive();
        KilledWriter.write(target, (byte) 99, false);
        checkWhole(target, "the run after");
        assertThat(target.resolve("generation.txt")).hasContent("63");
        Files.delete(errors);
        try (var left = Files.list(temporary)) {
            assertThat(left).containsExactly(target);
        }
    }

    @Test
    void aWriterInAnotherProcessIsRespectedWhileItLives() throws IOException {
        Path target = temporary.resolve("model");
        Process process =
                KilledWriter.start(target, Announce.HOLDING, temporary.resolve("errors.txt"));
        try {
            assertThatThrownBy(() -> CheckpointWriter.open(target, false).close())
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("is being written by another run");
        } finally {
            KilledWriter.kill(process, 0);
        }
        KilledWriter.write(target, (byte) 1, false);
        assertThat(target.resolve("generation.txt")).hasContent("01");
    }

    private static void checkWhole(Path folder, String when) throws Exception {
        JsonNode files =
                new JsonMapper().readTree(folder.resolve("lithe.json").toFile()).path("files");
        for (var field : files.properties()) {
            byte[] content = Files.readAllBytes(folder.resolve(field.getKey()));
            String hash =
                    HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
            assertThat(hash)
                    .as("%s: %s", when, field.getKey())
                    .isEqualTo(field.getValue().path("sha256").asText());
        }
        byte generation =
                (byte) HexFormat.fromHexDigits(Files.readString(folder.resolve("generation.txt")));
        try (var checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.entries()).hasSize(KilledWriter.TENSORS);
            for (TensorEntry entry : checkpoint.entries().values()) {
                assertThat(RawSafetensors.read(entry.file()).data())
                        .as(when)
                        .containsOnly(generation);
            }
        }
    }
}
