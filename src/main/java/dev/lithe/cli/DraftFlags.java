package dev.lithe.cli;

import dev.lithe.engine.Speculation;
import dev.lithe.serve.DraftOptions;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// Speculative decoding: options that all serving commands share.
final class DraftFlags {
    @Option(
            names = "--draft-variant",
            paramLabel = "NAME",
            description =
                    "This variant (such as 'compressed') guesses tokens for the first one, which keeps"
                            + " those that it would have chosen: the same answers, in fewer steps. Off"
                            + " by itself while that does not pay.")
    private @Nullable String variant;

    @Option(
            names = "--draft-max",
            paramLabel = "N",
            description = "Most tokens to guess at once; how many pays is measured. Default: 8.")
    private int most = Speculation.DEFAULT_MOST;

    Optional<DraftOptions> options() {
        var options = new DraftOptions(variant == null ? "" : variant, most);
        return variant == null ? Optional.empty() : Optional.of(options);
    }
}
