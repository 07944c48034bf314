package dev.lithe.cli;

import dev.lithe.checkpoint.Hub;
import dev.lithe.checkpoint.HubCache;
import dev.lithe.checkpoint.HubId;
import dev.lithe.checkpoint.ModelSource;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// Finds the folder of what a user calls a model, and fetches it where it is the id of one that was
/// not pulled yet.
final class ModelFinder {
    private ModelFinder() {}

    /// The folder of `model`; `err` hears of a download.
    ///
    /// @throws dev.lithe.fault.LitheException where there is none, or it cannot be fetched
    static Path folder(String model, PrintWriter err) {
        return folder(model, System.getenv(), err);
    }

    static Path folder(String model, Map<String, String> environment, PrintWriter err) {
        Optional<HubId> id = HubId.of(model);
        Path path = Path.of(model);
        boolean local =
                Files.exists(path)
                        || model.toLowerCase(Locale.ROOT).endsWith(".gguf")
                        || path.getParent() != null && Files.isDirectory(path.getParent());
        if (local || id.isEmpty()) {
            return ModelSource.folder(model);
        }
        return HubCache.of(environment)
                .snapshot(id.get())
                .orElseGet(() -> {
                    err.printf(
                            "pull       '%s' is no folder and not in the cache; asking the hub for it%n",
                            model);
                    err.flush();
                    return PullProgress.pull(Hub.of(environment), id.get(), err);
                });
    }
}
