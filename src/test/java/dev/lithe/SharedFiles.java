package dev.lithe;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/// Models and texts that lie beside a developer's checkout and are absent on a user's machine;
/// tests that need them are skipped with a reason.
public final class SharedFiles {
    private SharedFiles() {}

    /// `../shared/<relative>`, or a skipped test.
    public static Path require(String relative) {
        Path file = Path.of("..", "shared").resolve(relative);
        assumeTrue(
                Files.exists(file),
                () -> "needs " + file + ", which lies beside developers' checkouts only");
        return file;
    }
}
