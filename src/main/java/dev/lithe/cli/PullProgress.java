package dev.lithe.cli;

import dev.lithe.checkpoint.Hub;
import dev.lithe.checkpoint.HubId;
import java.io.PrintWriter;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Shows how far a download is.
final class PullProgress implements AutoCloseable {
    private static final long MEGABYTE = 1_000_000;

    private final PrintWriter err;
    private @Nullable Progress progress;
    private long rest;

    private PullProgress(PrintWriter err) {
        this.err = err;
    }

    /// Fetches the model `id`, where it is not in the cache, and shows on `err` how far that is.
    ///
    /// @return its folder
    static Path pull(Hub hub, HubId id, PrintWriter err) {
        try (var shown = new PullProgress(err)) {
            return hub.pull(
                    id,
                    (files, bytes) -> {
                        if (files > 0) {
                            shown.progress = Progress.bar("MB", Math.ceilDiv(bytes, MEGABYTE), err);
                        }
                        return shown::advance;
                    });
        }
    }

    private void advance(long bytes) {
        rest += bytes;
        if (progress != null && rest >= MEGABYTE) {
            progress.advance(rest / MEGABYTE, "");
            rest %= MEGABYTE;
        }
    }

    @Override
    public void close() {
        if (progress != null) {
            progress.close();
        }
    }
}
