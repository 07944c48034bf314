package dev.lithe.serve;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.route.Router;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// The report that `lithe run` and `lithe compress` leave in a model's folder.
final class ReportFile {
    private static final long MAX_BYTES = 2L << 20;

    private ReportFile() {}

    /// The first that lies in a variant's folder.
    ///
    /// @param name of the form: `report.json` or `report.html`
    /// @throws LitheException `NOT_FOUND` where none does
    static String read(Router router, String name) {
        return find(router, name)
                .map(ReportFile::read)
                .orElseThrow(() ->
                        LitheException.of(
                                Fault.NOT_FOUND,
                                "no served folder holds a %s; 'lithe evaluate' measures and 'lithe run'"
                                        + " keeps one",
                                name));
    }

    static boolean exists(Router router, String name) {
        return find(router, name).isPresent();
    }

    private static Optional<Path> find(Router router, String name) {
        return router.variants().stream()
                .map(variant -> variant.folder().resolve(name))
                .filter(Files::isRegularFile)
                .findFirst();
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
