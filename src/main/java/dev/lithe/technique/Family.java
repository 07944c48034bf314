package dev.lithe.technique;

import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Locale;

/// The kinds of compression that Lithe knows.
public enum Family {
    /// Fewer bits per weight or activation.
    QUANTIZATION,
    /// Weights, units or blocks removed.
    PRUNING,
    /// The architecture changed: depth, width, heads, vocabulary.
    ARCHITECTURE,
    /// What a task does not need removed.
    KNOWLEDGE,
    /// Parameters used in several places.
    SHARING,
    /// Matrices as products of thinner ones.
    FACTORIZATION,
    /// A subset of parameters or context used per example.
    SPARSE,
    /// A smaller model trained on a larger one's answers.
    DISTILLATION;

    /// The name in `techniques --json`.
    @JsonValue
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
