package dev.lithe;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// How much memory this process holds, native memory included.
public final class Resident {
    private static final Path STATUS = Path.of("/proc/self/status");

    private Resident() {}

    /// Bytes in memory now; skips the test where the system does not tell.
    public static long bytes() throws IOException {
        assumeTrue(Files.exists(STATUS), () -> "needs " + STATUS);
        String line =
                Files.readAllLines(STATUS).stream()
                        .filter(text -> text.startsWith("VmRSS:"))
                        .findFirst()
                        .orElseThrow();
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
    }
}
