package dev.lithe.search;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.JsonLines;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/// What trials came to: in a journal of this worker's, and in those of others in the same folder,
/// which may be writing. Nothing that is in one of them is done again.
final class Found implements AutoCloseable {
    private static final String FILE = "journal.jsonl";
    private static final int MILLIS = 200;
    private static final int LOOKS_A_MINUTE = 300;

    private final Path folder;
    private final JsonNode origin;
    private final JsonLines own;
    private final Map<String, Outcome> known = new HashMap<>();
    private final Map<Path, Long> read = new HashMap<>();

    private Found(Path folder, JsonNode origin, JsonLines own) {
        this.folder = folder;
        this.origin = origin;
        this.own = own;
        own.entries().forEach(this::take);
    }

    /// What is known in `folder` of the search that `origin` describes.
    ///
    /// @throws LitheException where a journal there is of another search
    static Found open(Path folder, Workers workers, JsonNode origin) throws IOException {
        for (Path each : journals(folder)) {
            requireSame(each, origin);
        }
        JsonLines own = JsonLines.open(workers.own(folder).resolve(FILE), origin);
        var found = new Found(folder, origin, own);
        found.look();
        return found;
    }

    private static List<Path> journals(Path folder) throws IOException {
        List<Path> journals = new ArrayList<>();
        if (Files.exists(folder.resolve(FILE))) {
            journals.add(folder.resolve(FILE));
        }
        try (var workers = Files.newDirectoryStream(folder, "worker-*")) {
            for (Path worker : workers) {
                if (Files.exists(worker.resolve(FILE))) {
                    journals.add(worker.resolve(FILE));
                }
            }
        }
        return journals;
    }

    private static void requireSame(Path file, JsonNode origin) throws IOException {
        String text = Files.readString(file);
        int end = text.indexOf('\n'); // none where it is being written, or was cut off
        if (end >= 0 && !text.substring(0, end).equals(origin.toString())) {
            throw LitheException.badInput(
                    "%s is of a search for another model, text, seed or limit, or by another Lithe; choose another"
                            + " --output, or delete that folder",
                    file);
        }
    }

    private void take(JsonNode entry) {
        known.putIfAbsent(entry.path("trial").asText(), Outcome.of(entry.path("outcome")));
    }

    /// What others have written since.
    private void look() throws IOException {
        for (Path each : journals(folder)) {
            long size = Files.size(each);
            if (read.getOrDefault(each, 0L) != size) {
                requireSame(each, origin);
                List<JsonNode> lines = JsonLines.read(each);
                lines.subList(Math.min(1, lines.size()), lines.size()).forEach(this::take);
                read.put(each, size);
            }
        }
    }

    /// What `trial` came to; null where nobody says yet.
    @Nullable Outcome get(String trial) {
        return known.get(trial);
    }

    /// Waits until another worker has made `trial`, and all of it is there.
    ///
    /// @param waits runs each time that a minute has passed without it
    void await(String trial, BooleanSupplier whole, Runnable waits) {
        try {
            for (int looks = 1; !known.containsKey(trial) || !whole.getAsBoolean(); looks++) {
                look();
                if (!known.containsKey(trial) || !whole.getAsBoolean()) {
                    Thread.sleep(MILLIS);
                }
                if (looks % LOOKS_A_MINUTE == 0) {
                    waits.run();
                }
            }
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", folder, e.getMessage())
                    .causedBy(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw LitheException.of(Fault.CANCELLED, "the search was interrupted").causedBy(e);
        }
    }

    /// Notes what `trial` came to; it is on the disk when this returns.
    void add(String trial, Proposal proposal, Outcome outcome) {
        ObjectNode entry = JsonNodeFactory.instance.objectNode().put("trial", trial);
        entry.set("recipe", proposal.stages());
        entry.set("outcome", outcome.toJson());
        try {
            own.append(entry);
        } catch (IOException e) {
            throw LitheException.internal("the journal cannot be written", e);
        }
        known.put(trial, outcome);
    }

    @Override
    public void close() throws IOException {
        own.close();
    }
}
