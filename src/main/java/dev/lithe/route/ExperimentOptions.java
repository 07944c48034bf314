package dev.lithe.route;

import dev.lithe.fault.LitheException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// What an experiment does beside sharing requests out.
///
/// @param shadow the variant that answers copies of other variants' requests unheard
/// @param shadowFraction part of the requests that are copied, above 0, up to 1
/// @param exposureLog where one line of JSON per request goes
public record ExperimentOptions(
        Optional<String> shadow, double shadowFraction, Optional<Path> exposureLog) {
    public static final ExperimentOptions NONE =
            new ExperimentOptions(Optional.empty(), 1, Optional.empty());

    public ExperimentOptions {
        if (!(shadowFraction > 0 && shadowFraction <= 1)) {
            throw LitheException.badInput(
                    "a shadow of %s of the requests; use above 0, up to 1", shadowFraction);
        }
        exposureLog.ifPresent(file -> {
            Path folder = file.toAbsolutePath().getParent();
            if (Files.isDirectory(file) || folder == null || !Files.isWritable(folder)) {
                throw LitheException.badInput(
                        "the exposure log %s cannot be written there; choose another", file);
            }
        });
    }
}
