package dev.lithe.report;

import dev.lithe.tensor.Device;
import dev.lithe.tensor.Torch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.stream.Stream;

/// Finds out where this process runs.
final class Surroundings {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

    private Surroundings() {}

    static Report.Environment now(Clock clock, Device device) {
        String version = Surroundings.class.getPackage().getImplementationVersion();
        return new Report.Environment(
                version == null ? "development" : version,
                property("java.version"),
                property("os.name") + " " + property("os.version") + " " + property("os.arch"),
                cpu(),
                Runtime.getRuntime().availableProcessors(),
                Torch.threads(),
                Torch.version(),
                device.name(),
                "float32",
                Instant.now(clock).truncatedTo(ChronoUnit.SECONDS).toString());
    }

    private static String property(String name) {
        return String.valueOf(System.getProperty(name));
    }

    /// Linux names the processor in a file; elsewhere its architecture has to do.
    private static String cpu() {
        String unknown = property("os.arch");
        if (!Files.isReadable(CPU_INFO)) {
            return unknown;
        }
        try (Stream<String> lines = Files.lines(CPU_INFO)) {
            return lines.filter(line -> line.startsWith("model name"))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse(unknown);
        } catch (IOException _) {
            return unknown;
        }
    }
}
