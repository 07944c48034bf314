package dev.lithe.cli;

/// What one request took, as its client saw it.
///
/// @param firstMillis from sending to the first token
/// @param perTokenMillis mean time of each token after the first
/// @param tokens tokens received
record Latency(double firstMillis, double perTokenMillis, int tokens) {
    /// Tokens per second from sending to the last token.
    double tokensPerSecond() {
        return 1000 * tokens / (firstMillis + perTokenMillis * (tokens - 1));
    }
}
