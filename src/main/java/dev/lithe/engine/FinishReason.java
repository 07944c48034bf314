package dev.lithe.engine;

/// Why a sequence ended well.
public enum FinishReason {
    /// The model's own end token.
    STOP_TOKEN,
    /// One of the request's stop strings.
    STOP_STRING,
    /// As many tokens as asked for, or a full context.
    LENGTH
}
