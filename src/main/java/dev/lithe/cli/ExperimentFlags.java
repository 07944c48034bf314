package dev.lithe.cli;

import dev.lithe.route.ExperimentOptions;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// What is watched of the requests: options that all serving commands share.
final class ExperimentFlags {
    @Option(
            names = "--shadow",
            paramLabel = "NAME",
            description =
                    "This variant answers copies of the others' requests, unheard, while nobody"
                            + " waits.")
    private @Nullable String shadow;

    @Option(
            names = "--shadow-fraction",
            paramLabel = "NUMBER",
            defaultValue = "1",
            description = "Part of the requests that are copied. Default: ${DEFAULT-VALUE}.")
    private double shadowFraction = 1;

    @Option(
            names = "--exposure-log",
            paramLabel = "FILE",
            description = "Append a line of JSON per request: who got which variant. No text.")
    private @Nullable Path exposureLog;

    ExperimentOptions options() {
        return new ExperimentOptions(
                Optional.ofNullable(shadow), shadowFraction, Optional.ofNullable(exposureLog));
    }
}
