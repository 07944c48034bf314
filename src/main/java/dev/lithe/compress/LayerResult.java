package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.MathContext;
import org.jspecify.annotations.Nullable;

/// What became of one linear.
///
/// @param module its name
/// @param form the label of the form it is written in
/// @param error relative to what it was before its last stages: of its outputs on the calibration
///   windows where a stage looked at them, else of its weights; null where it was not measured
/// @param nearest the error that rounding to nearest would have given, where that says something
/// @param outputs whether errors are those of outputs
/// @param trouble what went other than configured
public record LayerResult(
        String module,
        String form,
        @Nullable Double error,
        @Nullable Double nearest,
        boolean outputs,
        @Nullable String trouble) {
    private static final MathContext DIGITS = new MathContext(4);

    public LayerResult {
        error = rounded(error);
        nearest = rounded(nearest);
    }

    private static @Nullable Double rounded(@Nullable Double value) {
        return value == null || !Double.isFinite(value)
                ? null
                : Double.valueOf(new BigDecimal(value).round(DIGITS).doubleValue());
    }

    /// As `lithe.json` and the journal have it.
    ObjectNode toJson() {
        ObjectNode node =
                JsonNodeFactory.instance.objectNode().put("name", module).put("form", form);
        if (error != null) {
            node.put("error", error);
            node.put("of", outputs ? "outputs" : "weights");
        }
        if (nearest != null) {
            node.put("nearest", nearest);
        }
        if (trouble != null) {
            node.put("trouble", trouble);
        }
        return node;
    }

    /// What [#toJson] made.
    static LayerResult of(JsonNode node) {
        return new LayerResult(
                node.path("name").asText(),
                node.path("form").asText(),
                node.has("error") ? Double.valueOf(node.path("error").asDouble()) : null,
                node.has("nearest") ? Double.valueOf(node.path("nearest").asDouble()) : null,
                node.path("of").asText().equals("outputs"),
                node.has("trouble") ? node.path("trouble").asText() : null);
    }
}
