package dev.lithe.search;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.jspecify.annotations.Nullable;

/// What a recipe came to, measured from the folder that it wrote.
///
/// @param bytes of the weight files
/// @param kl mean KL(original || model) of a prediction, in nats; infinite where it failed
/// @param perplexityRatio to the original
/// @param speedup the original's time per token by the model's; null where it was not timed
/// @param seconds that compressing and measuring took
/// @param trouble why it failed, or null
public record Outcome(
        long bytes,
        double kl,
        double perplexityRatio,
        @Nullable Double speedup,
        double seconds,
        @Nullable String trouble) {
    static Outcome failed(double seconds, String trouble) {
        double worst = Double.POSITIVE_INFINITY;
        return new Outcome(Long.MAX_VALUE, worst, worst, null, seconds, trouble);
    }

    boolean worked() {
        return trouble == null;
    }

    ObjectNode toJson() {
        ObjectNode node = JsonNodeFactory.instance.objectNode().put("seconds", seconds);
        if (trouble != null) {
            return node.put("trouble", trouble);
        }
        return node.put("bytes", bytes)
                .put("kl", kl)
                .put("perplexity_ratio", perplexityRatio)
                .put("speedup", speedup);
    }

    static Outcome of(JsonNode node) {
        double seconds = node.path("seconds").asDouble();
        if (node.has("trouble")) {
            return failed(seconds, node.path("trouble").asText());
        }
        return new Outcome(
                node.path("bytes").asLong(),
                node.path("kl").asDouble(),
                node.path("perplexity_ratio").asDouble(),
                node.path("speedup").isNumber() ? node.path("speedup").doubleValue() : null,
                seconds,
                null);
    }
}
