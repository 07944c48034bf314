package dev.lithe.evaluate;

/// Hears how far a measurement is.
@FunctionalInterface
public interface ProgressListener {
    /// For callers who do not want to know.
    ProgressListener NONE = (_, _, _) -> {};

    /// `done` of `total` units of `task` are finished; called after each unit.
    void update(String task, long done, long total);
}
