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
        return kilobytes(STATUS, "VmRSS:") * 1024;
    }

    /// Anonymous bytes, mapped files aside, that another process holds; 0 when it has ended.
    public static long anonymous(Process process) {
        try {
            return kilobytes(Path.of("/proc/" + process.pid() + "/status"), "RssAnon:") * 1024;
        } catch (IOException _) {
            return 0;
        }
    }

    private static long kilobytes(Path status, String key) throws IOException {
        return Files.readAllLines(status).stream()
                .filter(text -> text.startsWith(key))
                .mapToLong(text -> Long.parseLong(text.replaceAll("\\D", "")))
                .findFirst()
                .orElse(0);
    }
}
