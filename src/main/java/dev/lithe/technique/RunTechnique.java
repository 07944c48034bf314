package dev.lithe.technique;

import com.fasterxml.jackson.databind.node.ObjectNode;

/// A technique that leaves every weight as it is and changes how the model runs.
///
/// @param <C> its configuration
public non-sealed interface RunTechnique<C extends Record> extends Technique {
    @Override
    C defaults();

    @Override
    default String scope() {
        return "run";
    }

    /// Says so in `model`, a copy of `config.json`, from which alone a model learns how to run.
    /// Doing it twice is doing it once. What the result cannot be for this model, reading it
    /// refuses.
    void configure(ObjectNode model, C config);
}
