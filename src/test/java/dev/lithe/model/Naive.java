package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import java.util.Map;

/// A forward pass written out in loops over doubles.
interface Naive {
    /// That of `model`.
    static Naive of(TinyModel model) {
        return of(model.config(), model.tensors());
    }

    static Naive of(JsonNode config, Map<String, RawTensor> tensors) {
        return switch (config.path("model_type").asText()) {
            case "gpt2", "opt" -> new NaiveAbsolute(config, tensors);
            default -> new NaiveDecoder(config, tensors);
        };
    }

    /// The logits of every position of `ids`, (T, V).
    double[][] logits(int... ids);
}
