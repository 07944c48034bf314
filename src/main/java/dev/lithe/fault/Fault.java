package dev.lithe.fault;

/// What kind of trouble a [LitheException] reports. The edges map it to an exit code or a gRPC
/// status.
public enum Fault {
    /// A request, option, recipe or file is wrong; the message says how to mend it.
    BAD_INPUT,
    /// The named thing does not exist.
    NOT_FOUND,
    /// A bound (queue, memory, disk) is reached; the same call may work later.
    EXHAUSTED,
    /// Not ready yet, or shutting down.
    UNAVAILABLE,
    /// The caller withdrew the request.
    CANCELLED,
    /// The caller's time ran out.
    DEADLINE,
    /// Work finished, and its result misses a limit that the user set.
    QUALITY_GATE,
    /// Lithe or its surroundings failed.
    INTERNAL
}
