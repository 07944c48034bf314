package dev.lithe.report;

import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/// A folder that holds a report: `report.json`, `report.md` and `report.html`.
public final class ReportFolder {
    /// The complete report.
    public static final String JSON = "report.json";

    /// The same for people.
    public static final String MARKDOWN = "report.md";

    /// The same with plots, one file that needs nothing else.
    public static final String HTML = "report.html";

    private ReportFolder() {}

    /// Makes the folder where it is missing, so that a bad one is known before the long work.
    ///
    /// @throws LitheException where nothing can be written there
    public static void prepare(Path folder) {
        try {
            Files.createDirectories(folder);
            Files.delete(Files.createTempFile(folder, ".report", ".partial"));
        } catch (IOException e) {
            throw cannotHold(folder, e);
        }
    }

    private static LitheException cannotHold(Path folder, IOException e) {
        return LitheException.badInput(
                        "%s cannot hold the report (%s); choose another --output",
                        folder, e.getClass().getSimpleName())
                .causedBy(e);
    }

    /// Writes all files, each whole or not at all; the folder is made where it is missing, and
    /// earlier reports in it are replaced.
    public static void write(Report report, Path folder) {
        try {
            Files.createDirectories(folder);
            replace(folder.resolve(JSON), ReportJson.write(report) + "\n");
            replace(folder.resolve(MARKDOWN), ReportMarkdown.of(report));
            replace(folder.resolve(HTML), ReportHtml.of(report));
        } catch (IOException e) {
            throw cannotHold(folder, e);
        }
    }

    private static void replace(Path file, String content) throws IOException {
        Path temporary = file.resolveSibling(file.getFileName() + ".partial");
        try {
            Files.writeString(temporary, content);
            Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /// Reads the report in `folder`.
    public static Report read(Path folder) {
        Path file = folder.resolve(JSON);
        try {
            return ReportJson.read(Files.readString(file), file.toString());
        } catch (IOException e) {
            throw LitheException.badInput(
                            "%s cannot be read (%s)", file, e.getClass().getSimpleName())
                    .causedBy(e);
        }
    }
}
