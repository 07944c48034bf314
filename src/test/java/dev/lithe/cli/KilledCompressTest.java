package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.model.Decoder;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `lithe compress` in a process of its own that is killed again and again, at any moment: the
/// result is absent or whole, the same command goes on behind the last finished part, and what it
/// makes in the end is what a run makes that nobody disturbs, byte by byte.
class KilledCompressTest {
    private static final long SEED = 21;
    private static final int KILLS = 20;
    private static final int LAYERS = 6;
    private static final int PARTS = LAYERS + 2;
    private static final int LONGEST_MS = 40;
    private static final long START_SECONDS = 60;
    private static final Pattern RESUMED =
            Pattern.compile("resume +(\\d+) of " + PARTS + " parts done before");

    @TempDir private Path folder;

    @Test
    void theSameCommandGoesOnAndMakesTheSameBytes() throws Exception {
        TinyModel.small().width(96, 160).heads(6, 3, 16).layers(LAYERS).write(model());
        Files.writeString(
                folder.resolve("text.txt"), "one two three four five six seven ".repeat(99));
        Path undisturbed = folder.resolve("undisturbed");
        finish(undisturbed);
        Path target = folder.resolve("made");
        var random = new Random(SEED);
        System.out.println("KilledCompressTest: seed " + SEED);
        int resumed = 0;
        int midway = 0;
        int whole = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            int parts = finished(target);
            Process process = start(target);
            String when = "seed %d, kill %d".formatted(SEED, kill);
            try {
                int awaited = parts + (kill % 4 == 3 ? 0 : 1 + random.nextInt(3));
                boolean left = await(target, awaited, process);
                assertThat(left).as("%s: %s", when, log()).isTrue();
                boolean alive = !process.waitFor(random.nextInt(LONGEST_MS), TimeUnit.MILLISECONDS);
                midway += alive && !Files.exists(target) && awaited > parts ? 1 : 0;
            } finally {
                process.destroyForcibly().waitFor();
            }
            resumed += checkResumed(parts, when) ? 1 : 0;
            if (Files.exists(target)) {
                OwnProcess.requireSame(undisturbed, target, when);
                delete(target);
                delete(folder.resolve("made.partial"));
                whole++;
            }
        }
        finish(target);
        OwnProcess.requireSame(undisturbed, target, "the run after");
        System.out.printf(
                "KilledCompressTest: %d kills, %d in the middle, %d runs resumed, %d found it whole%n",
                KILLS, midway, resumed, whole);
        assertThat(midway).as("kills in the middle of compression").isGreaterThan(KILLS / 3);
        assertThat(resumed).as("runs that went on where another was killed").isGreaterThan(5);
        try (var left = Files.list(folder)) {
            assertThat(left.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder(
                            "model", "text.txt", "undisturbed", "made", "log.txt");
        }
        checkRuns(target);
    }

    private Path model() {
        return folder.resolve("model");
    }

    private String log() throws IOException {
        return Files.readString(folder.resolve("log.txt"));
    }

    /// Lines of the journal behind the first.
    private int finished(Path target) throws IOException {
        Path journal = target.resolveSibling(target.getFileName() + ".partial/journal.jsonl");
        if (!Files.exists(journal)) {
            return 0;
        }
        long lines = Files.readString(journal).chars().filter(c -> c == '\n').count();
        return (int) Math.max(0, lines - 1);
    }

    /// No finished part is done again.
    private boolean checkResumed(int parts, String when) throws IOException {
        var said = RESUMED.matcher(log());
        boolean found = said.find();
        if (found) {
            assertThat(Integer.parseInt(said.group(1))).as(when).isEqualTo(parts);
        }
        return found;
    }

    /// Waits until so many parts are finished, or the run is: more than there are never will be.
    private boolean await(Path target, int parts, Process process) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (System.nanoTime() < deadline) {
            if (process.waitFor(1, TimeUnit.MILLISECONDS)) {
                return process.exitValue() == 0;
            }
            if (Files.exists(target) || (parts <= PARTS && finished(target) >= parts)) {
                return true;
            }
        }
        return false;
    }

    private Process start(Path target) throws IOException {
        return OwnProcess.start(
                folder.resolve("log.txt"),
                Map.of(),
                "compress",
                model().toString(),
                "--stage",
                "gptq:bits=4,group_size=32",
                "--calibration-text",
                folder.resolve("text.txt").toString(),
                "--no-evaluate",
                "-o",
                target.toString());
    }

    private void finish(Path target) throws Exception {
        assertThat(start(target).waitFor()).as(log()).isZero();
    }

    private static void delete(Path tree) throws IOException {
        if (Files.exists(tree)) {
            try (var paths = Files.walk(tree)) {
                for (Path path : paths.toList().reversed()) {
                    Files.delete(path);
                }
            }
        }
    }

    private static void checkRuns(Path made) {
        try (Decoder decoder = Decoder.open(made);
                var scope = TensorScope.open()) {
            var cache = decoder.newCache(1, 4, scope);
            float[] logits =
                    decoder.forward(scope.tensor(new long[] {1, 2}, 1, 2), 0, cache, false, scope)
                            .floats();
            assertThat(logits).hasSize(decoder.spec().vocabSize());
        }
    }
}
