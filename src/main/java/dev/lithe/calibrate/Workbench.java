package dev.lithe.calibrate;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// What a technique that takes the model as a whole works with besides it.
///
/// @param start the model that the whole recipe started from; null where nothing asks for it
/// @param unfinished a file for work in progress: it is there again after a crash, and gone with
///   the last step; null where nothing would take it up
/// @param listener hears of steps
public record Workbench(
        @Nullable Checkpoint start, @Nullable Path unfinished, StepListener listener) {
    /// Nothing.
    public static final Workbench EMPTY = new Workbench(null, null, (_, _, _) -> {});

    /// Hears of steps of long work.
    @FunctionalInterface
    public interface StepListener {
        /// `done` of `of` steps are done; `note` says how well it goes, for people.
        void step(int done, int of, String note);
    }

    /// The model that the whole recipe started from.
    public Checkpoint original() {
        if (start == null) {
            throw LitheException.of(
                    Fault.INTERNAL, "a stage that needs no original asks for the original");
        }
        return start;
    }
}
