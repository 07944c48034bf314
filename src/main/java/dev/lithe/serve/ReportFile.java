package dev.lithe.serve;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.route.Router;
import dev.lithe.route.Variant;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// The report that `lithe run` and `lithe compress` leave in a model's folder.
final class ReportFile {
    private static final String NAME = "report.json";
    private static final long MAX_BYTES = 2L << 20;

    private ReportFile() {}

    /// The first that lies in a variant's folder.
    ///
    /// @throws LitheException `NOT_FOUND` where none does
    static String read(Router router) {
        for (Variant variant : router.variants()) {
            Path file = variant.folder().resolve(NAME);
            if (Files.isRegularFile(file)) {
                return read(file);
            }
        }
        throw LitheException.of(
                Fault.NOT_FOUND,
                "no served folder holds a %s; 'lithe evaluate' measures and 'lithe run' keeps one",
                NAME);
    }

    private static String read(Path file) {
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw LitheException.of(
                        Fault.EXHAUSTED,
                        "%s: %d bytes, the limit is %d",
                        file.getFileName(),
                        Files.size(file),
                        MAX_BYTES);
            }
            return Files.readString(file);
        } catch (IOException e) {
            throw LitheException.internal("the report could not be read: " + e.getMessage(), e);
        }
    }
}
