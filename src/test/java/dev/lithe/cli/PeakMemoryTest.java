package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lithe.Resident;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The plan's peak memory against what a process takes. At the demo's size half of it is Java's
/// heap and what the C library holds back, which the plan only guesses, so the bounds are wide;
/// `eval/PeakMemory.java` measures models of any size.
class PeakMemoryTest {
    private static final Pattern PEAK = Pattern.compile("peak memory about ([0-9.]+) MB");

    @TempDir private Path folder;

    @Test
    void theEstimateIsNearWhatTheDemoTakes() throws Exception {
        assumeTrue(Files.exists(Path.of("/proc/self/status")), "needs /proc");
        Path log = folder.resolve("log.txt");
        Process process =
                new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                                "-XX:+UseSerialGC",
                                "--enable-native-access=ALL-UNNAMED",
                                "-cp",
                                System.getProperty("java.class.path"),
                                "dev.lithe.cli.Main",
                                "compress",
                                "demo",
                                "--stage",
                                "gptq:bits=4,group_size=32",
                                "--no-evaluate",
                                "-o",
                                folder.resolve("made").toString())
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        long started = 0;
        long peak = 0;
        boolean planned = false;
        while (!process.waitFor(2, TimeUnit.MILLISECONDS)) {
            long now = Resident.anonymous(process);
            started = planned ? started : now;
            planned = planned || Files.readString(log).contains("peak memory");
            peak = Math.max(peak, now);
        }
        String said = Files.readString(log);
        assertThat(process.exitValue()).as(said).isZero();
        var estimate = PEAK.matcher(said);
        assertThat(estimate.find()).as(said).isTrue();
        double ratio = Double.parseDouble(estimate.group(1)) * 1e6 / (peak - started);
        System.out.printf(
                "PeakMemoryTest: estimated %s MB, measured %.0f MB, ratio %.2f%n",
                estimate.group(1), (peak - started) / 1e6, ratio);
        assertThat(ratio).as("estimated peak by measured").isBetween(0.7, 1.6);
    }
}
