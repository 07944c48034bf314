package dev.lithe.cli;

import io.grpc.Status;

/// What one request took, as its client saw it. Times are in milliseconds and count from when the
/// request was due, which under a rate may be before it was sent: whoever waits for a slow server
/// waits from then on.
///
/// @param status how the call ended; the rest means something only where that is `OK`
/// @param reason the server's words where it failed
/// @param late how much later than due the client sent it
/// @param first until its first token
/// @param whole until its last token
/// @param gaps between two messages with tokens
/// @param tokens that came
record RequestTimes(
        Status.Code status,
        String reason,
        double late,
        double first,
        double whole,
        double[] gaps,
        int tokens) {

    boolean completed() {
        return status == Status.Code.OK;
    }

    /// The mean time of each token after the first.
    double perToken() {
        return (whole - first) / Math.max(1, tokens - 1);
    }
}
