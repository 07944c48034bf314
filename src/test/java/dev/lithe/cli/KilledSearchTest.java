package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `lithe search` in a process of its own that is stopped and killed at several moments: the best
/// so far is there, and the same command ends with what a run finds that nobody disturbs.
class KilledSearchTest {
    private static final long SEED = 22;
    private static final int CANDIDATES = 8;
    private static final int LONGEST_MS = 300;
    private static final long START_SECONDS = 120;

    @TempDir private Path folder;

    @Test
    void theSameCommandGoesOnAndFindsTheSame() throws Exception {
        TinyModel.small().width(64, 128).heads(4, 2, 16).write(folder.resolve("model"));
        Files.writeString(folder.resolve("calibration.txt"), words(5, 700));
        Files.writeString(folder.resolve("evaluation.txt"), words(6, 300));
        Files.writeString(
                folder.resolve("space.yaml"),
                """
                shape: [{}, {width_prune: {ffn: 0.25, multiple_of: 32}}]
                heal: [{}]
                prepare: [{}, {rotate: {}}]
                quantizer: [{gptq: {}}, {rtn: {}}, {nf4: {}}, {}]
                width: [{share: 1, group_sizes: [32]}, {bits: 4, group_size: 32}, {bits: 3, group_size: 32}]
                scope: [{targets: ["re:.*"], ignore: []}, {ignore: []}]
                rest: [{}, {rtn: {bits: 8, group_size: 0, targets: [lm_head, model.embed_tokens]}}]
                """);
        Path undisturbed = folder.resolve("undisturbed");
        Path target = folder.resolve("found");
        finish(undisturbed);
        var random = new Random(SEED);
        System.out.println("KilledSearchTest: seed " + SEED);
        for (int kill = 0; kill < 2; kill++) {
            Process process = start(target);
            boolean tried = await(target, trials(target).size() + 2, process);
            assertThat(tried).as("kill %d: %s", kill, log()).isTrue();
            process.waitFor(random.nextInt(LONGEST_MS), TimeUnit.MILLISECONDS);
            if (kill % 2 == 0) {
                process.destroy();
                process.waitFor();
            } else {
                process.destroyForcibly().waitFor();
            }
            assertThat(target.resolve("recipe.yaml")).exists();
        }
        finish(target);
        assertThat(trials(target)).isEqualTo(trials(undisturbed));
        assertThat(target.resolve("recipe.yaml"))
                .hasSameTextualContentAs(undisturbed.resolve("recipe.yaml"));
    }

    private static String words(long seed, int lines) {
        var random = new Random(seed);
        var words = new StringBuilder();
        for (int i = 0; i < lines; i++) {
            words.append((char) ('a' + random.nextInt(26))).append(" went to ");
            words.append(random.nextInt(1000)).append('\n');
        }
        return words.toString();
    }

    private String log() throws IOException {
        return Files.readString(folder.resolve("log.txt"));
    }

    /// What was tried and what it came to, less how long it took.
    private static List<String> trials(Path target) throws IOException {
        List<String> trials = new ArrayList<>();
        Path journal = target.resolve("journal.jsonl");
        if (Files.exists(journal)) {
            for (String line : Files.readAllLines(journal)) {
                trials.add(line.replaceFirst("\"seconds\":[^,]*,", ""));
            }
        }
        return trials;
    }

    /// Waits until the journal has so many lines, or the run ends well.
    private static boolean await(Path target, int lines, Process process) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (System.nanoTime() < deadline) {
            if (process.waitFor(20, TimeUnit.MILLISECONDS)) {
                return process.exitValue() == 0;
            }
            if (trials(target).size() >= lines) {
                return true;
            }
        }
        return false;
    }

    private Process start(Path target) throws IOException {
        List<String> arguments =
                new ArrayList<>(List.of("search", folder.resolve("model").toString()));
        for (String name :
                List.of(
                        "calibration-text=calibration.txt",
                        "text=evaluation.txt",
                        "space=space.yaml")) {
            String[] option = name.split("=", 2);
            arguments.addAll(List.of("--" + option[0], folder.resolve(option[1]).toString()));
        }
        arguments.addAll(List.of("--context", "64", "--tokens", "512", "--latency-pairs", "0"));
        arguments.addAll(List.of("--max-bytes", "20%", "--max-candidates", "" + CANDIDATES));
        arguments.addAll(List.of("--seed", "3", "-o", target.toString()));
        return OwnProcess.start(
                folder.resolve("log.txt"), Map.of(), arguments.toArray(String[]::new));
    }

    private void finish(Path target) throws Exception {
        assertThat(start(target).waitFor()).as(log()).isZero();
    }
}
