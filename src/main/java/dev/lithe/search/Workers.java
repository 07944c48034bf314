package dev.lithe.search;

import dev.lithe.checkpoint.FolderLock;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// Processes that search together, on one machine or several that see the same folder. All of them
/// take the same decisions from the same outcomes, as one alone would; of the trials that come next
/// each makes its share, and reads of the others' in their journals.
///
/// As many as there are divide the work, so all in a folder at a time must say the same number.
/// Journals that another number left there do no harm: what a trial came to depends on its recipe
/// alone, and each reads all journals, whoever wrote them.
///
/// @param index which of them this is, from 0
/// @param count how many there are
public record Workers(int index, int count) {
    /// One process that makes all trials.
    public static final Workers ALONE = new Workers(0, 1);

    /// More would wait for each other most of the time.
    private static final int MOST = 1000;

    private static final String OF = "-of-";

    public Workers {
        if (count < 1 || count > MOST) {
            throw LitheException.badInput("%d workers; choose 1 to %d", count, MOST);
        }
        if (index < 0 || index >= count) {
            throw LitheException.badInput(
                    "worker %d of %d; they are numbered 0 to %d", index, count, count - 1);
        }
    }

    boolean alone() {
        return count == 1;
    }

    /// Whether this is the one that writes what is for people.
    public boolean first() {
        return index == 0;
    }

    /// Whether the trial at `place` of those that come next is this one's.
    boolean makes(int place) {
        return of(place) == index;
    }

    /// Whose the trial at `place` is.
    int of(int place) {
        return place % count;
    }

    /// Where this one keeps what is its own, in the folder of the search.
    Path own(Path folder) {
        return alone() ? folder : folder.resolve("worker-" + index + OF + count);
    }

    /// Refuses a folder in which another number of them searches. Each claims its own first and
    /// looks then, so that of two at least one sees the other.
    void requireTogether(Path folder) throws IOException {
        if (!alone() && FolderLock.held(folder)) {
            throw LitheException.badInput(
                    "%s: one search has this folder alone, and worker %d of %d cannot join it; wait for"
                            + " it, or choose another --output",
                    folder, index, count);
        }
        try (var workers = Files.newDirectoryStream(folder, "worker-*")) {
            for (Path worker : workers) {
                String name = worker.getFileName().toString();
                if (!name.endsWith(OF + count) && FolderLock.held(worker)) {
                    throw LitheException.badInput(
                            "%s: %s searches there, and worker %d of %d cannot join it; give all the"
                                    + " same --workers, wait for it, or choose another --output",
                            folder, name, index, count);
                }
            }
        }
    }

    /// Pieces of as many as there are workers, which these try at the same time.
    <T> List<List<T>> groups(List<T> all) {
        List<List<T>> groups = new ArrayList<>();
        for (int i = 0; i < all.size(); i += count) {
            groups.add(all.subList(i, Math.min(all.size(), i + count)));
        }
        return groups;
    }
}
