package dev.lithe.model;

import dev.lithe.fault.LitheException;

/// What a feed-forward part does to its gate, or alone where it has none; the order is that of
/// `decoder.py`, and of `lithe.h`, which knows the gates.
public enum Activation {
    /// `x / (1 + exp(-x))`.
    SILU,
    /// GELU by its approximation with tanh.
    GELU_TANH,
    /// The same without a gate.
    GELU_TANH_ALONE,
    /// GELU without a gate.
    GELU_ALONE,
    /// `max(x, 0)` without a gate.
    RELU_ALONE;

    /// Whether it gates something else.
    boolean gates() {
        return this == SILU || this == GELU_TANH;
    }

    static Activation of(String name, String where) {
        return switch (name) {
            case "silu", "swish" -> SILU;
            case "gelu_pytorch_tanh" -> GELU_TANH;
            default ->
                    throw LitheException.badInput(
                            "%s: hidden_act '%s' is unknown; Lithe knows silu and gelu_pytorch_tanh",
                            where, name);
        };
    }

    /// That of a feed-forward part without a gate.
    static Activation alone(ConfigReader config, String key, String usual) {
        String name = config.text(key, usual);
        return switch (name) {
            case "gelu_new", "gelu_pytorch_tanh" -> GELU_TANH_ALONE;
            case "gelu" -> GELU_ALONE;
            case "relu" -> RELU_ALONE;
            default ->
                    throw LitheException.badInput(
                            "%s: %s '%s' is unknown; Lithe knows gelu_new, gelu and relu",
                            config.where(), key, name);
        };
    }
}
