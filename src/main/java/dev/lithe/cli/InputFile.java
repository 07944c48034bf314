package dev.lithe.cli;

import dev.lithe.fault.LitheException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A file that an option names, looked at before anything else is done.
final class InputFile {
    private InputFile() {}

    /// Refuses a file that is not there or that cannot be read; null is none.
    static void require(String option, @Nullable Path file) {
        if (file == null || Files.isRegularFile(file) && Files.isReadable(file)) {
            return;
        }
        throw Files.exists(file)
                ? LitheException.badInput("%s %s is no file that can be read", option, file)
                : LitheException.badInput("%s %s does not exist; check the path", option, file);
    }
}
