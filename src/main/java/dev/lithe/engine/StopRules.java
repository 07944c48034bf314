package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.List;

/// When a sequence ends.
///
/// @param maxTokens most tokens to compute, at least 1; a full context ends earlier
/// @param stopStrings texts that end it and are not part of the output; at most 16, each of 1 to
///   256 characters
/// @param ignoreEos whether to go on after the model's end token
public record StopRules(int maxTokens, List<String> stopStrings, boolean ignoreEos) {
    /// Tokens computed where nobody says how many.
    public static final int DEFAULT_MAX_TOKENS = 20;

    private static final int MAX_STRINGS = 16;
    private static final int MAX_LENGTH = 256;

    public StopRules {
        stopStrings = List.copyOf(stopStrings);
        if (maxTokens < 1) {
            throw LitheException.badField("max_new_tokens", "%d; use 1 or more", maxTokens);
        }
        if (stopStrings.size() > MAX_STRINGS) {
            throw LitheException.badField(
                    "stop_strings",
                    "%d strings are too many; use at most %d",
                    stopStrings.size(),
                    MAX_STRINGS);
        }
        for (String stop : stopStrings) {
            if (stop.isEmpty() || stop.length() > MAX_LENGTH) {
                throw LitheException.badField(
                        "stop_strings",
                        "a string of %d characters; use 1 to %d",
                        stop.length(),
                        MAX_LENGTH);
            }
        }
    }

    /// No more than a number of tokens.
    public static StopRules length(int maxTokens) {
        return new StopRules(maxTokens, List.of(), false);
    }

    /// Exactly this many tokens, whatever they are: for measuring.
    public static StopRules exactly(int tokens) {
        return new StopRules(tokens, List.of(), true);
    }
}
