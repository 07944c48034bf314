package dev.lithe.engine;

/// A submitted request, for withdrawing it.
@FunctionalInterface
public interface Ticket {
    /// Ends the request with `CANCELLED` before its next token. Does nothing once it is done. Safe
    /// from any thread, and never blocks.
    void cancel();
}
