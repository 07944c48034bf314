package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `lithe compress` in a process of its own that is ended while it trains.
class KilledTrainingTest {
    private static final int STEPS = 400;
    private static final int KILLS = 3;
    private static final int SIGNALS = 6;
    private static final int TERMINATED = 128 + 15;
    private static final long LONGEST_SECONDS = 120;
    private static final Pattern STEP = Pattern.compile("step +(\\d+)/" + STEPS);

    @TempDir private Path folder;

    @BeforeEach
    void writeModel() throws IOException {
        TinyModel.small().layers(4).write(folder.resolve("model"));
        Files.writeString(
                folder.resolve("text.txt"), "one two three four five six seven ".repeat(999));
    }

    /// Killed again and again, on one thread: weights and losses are those of a training that
    /// nobody disturbs, to the last digit.
    @Test
    void theSameCommandGoesOnToTheSameLosses() throws Exception {
        Path undisturbed = folder.resolve("undisturbed");
        assertThat(start(undisturbed).waitFor()).as(log()).isZero();
        Path target = folder.resolve("made");
        int reached = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Process process = start(target);
            await(process, reached + STEPS / 10);
            process.destroyForcibly().waitFor();
            requireBehind(reached);
            reached = steps().getLast();
        }
        assertThat(start(target).waitFor()).as(log()).isZero();
        requireBehind(reached);
        assertThat(undisturbed.resolve("training.json")).isRegularFile();
        OwnProcess.requireSame(undisturbed, target, "after " + KILLS + " kills");
    }

    /// Ended by a signal amid a step, it says so by its exit code, and nothing crashes.
    @Test
    void aSignalEndsItInOrder() throws Exception {
        for (int signal = 0; signal < SIGNALS; signal++) {
            Process process = start(folder.resolve("made"));
            await(process, 1);
            Thread.sleep(signal);
            process.destroy();
            assertThat(process.waitFor()).as(log()).isEqualTo(TERMINATED);
            assertThat(OwnProcess.crashed(folder.resolve("log.txt"))).as(log()).isFalse();
        }
    }

    private Process start(Path target) throws IOException {
        return OwnProcess.start(
                folder.resolve("log.txt"),
                Map.of("OMP_NUM_THREADS", "1"),
                "compress",
                folder.resolve("model").toString(),
                "--stage",
                "heal:rank=0,loss=mixed,batch=4,steps=" + STEPS,
                "--calibration-text",
                folder.resolve("text.txt").toString(),
                "--no-evaluate",
                "--table",
                "-o",
                target.toString());
    }

    private String log() throws IOException {
        return Files.readString(folder.resolve("log.txt"));
    }

    /// The steps that the last run tells of.
    private List<Integer> steps() throws IOException {
        return STEP.matcher(log()).results().map(found -> Integer.valueOf(found.group(1))).toList();
    }

    private void await(Process process, int step) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LONGEST_SECONDS);
        while (steps().isEmpty() || steps().getLast() < step) {
            assertThat(process.waitFor(1, TimeUnit.MILLISECONDS)).as(log()).isFalse();
            assertThat(System.nanoTime()).as("step %d: %s", step, log()).isLessThan(deadline);
        }
    }

    /// A step that it tells of is on the disk, so none of these is taken again.
    private void requireBehind(int reached) throws IOException {
        assertThat(steps()).as(log()).isNotEmpty().allMatch(step -> step > reached);
    }
}
