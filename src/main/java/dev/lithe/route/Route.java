package dev.lithe.route;

/// Which variant answers a request, and why.
///
/// @param answered to be told when it has answered, so that the split can be checked
public record Route(Variant variant, Reason reason, Runnable answered) {
    /// One that no split made.
    Route(Variant variant, Reason reason) {
        this(variant, reason, () -> {});
    }

    /// Why a variant answers.
    public enum Reason {
        /// The request's field named it.
        OVERRIDE_FIELD,
        /// The request's metadata named it.
        OVERRIDE_METADATA,
        /// Drawn by weight.
        WEIGHT,
        /// Drawn by weight from its key, so that the same key gets the same variant.
        STICKY,
        /// There is no other.
        ONLY
    }
}
