package dev.lithe.technique;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;

/// Refuses models of GPT-2's kind for techniques that are made for Llama's.
public final class Rotary {
    private Rotary() {}

    /// @param why it needs one, and the way out
    /// @throws LitheException where `config` is of a model with learned positions
    public static void require(JsonNode config, String why) {
        require(ModelSpec.of(config, "config.json"), why);
    }

    /// The same for a model of known shapes.
    public static void require(ModelSpec spec, String why) {
        if (spec.style().learnedPositions()) {
            throw LitheException.badInput(
                    "the model has learned positions, norms with biases and no gate; %s", why);
        }
    }
}
