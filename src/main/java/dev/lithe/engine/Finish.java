package dev.lithe.engine;

import java.util.Optional;

/// How a sequence ended and what it took.
///
/// @param stopString the stop string that ended it, if one did
/// @param promptTokens tokens read
/// @param outputTokens tokens computed, the end token included
/// @param queueMillis from arrival until the engine took it
/// @param firstTokenMillis from arrival until the first token was chosen
/// @param decodeMillis from the first token to the last
public record Finish(
        FinishReason reason,
        Optional<String> stopString,
        int promptTokens,
        int outputTokens,
        double queueMillis,
        double firstTokenMillis,
        double decodeMillis) {}
