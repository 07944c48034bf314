package dev.lithe.model;

import dev.lithe.fault.LitheException;

/// What a feed-forward part does to its gate; the order is that of `decoder.py` and `lithe.h`.
public enum Activation {
    /// `x / (1 + exp(-x))`.
    SILU,
    /// GELU by its approximation with tanh.
    GELU_TANH;

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
}
