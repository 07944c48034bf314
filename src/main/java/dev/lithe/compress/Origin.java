package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.Sha256;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// All that decides what a compression writes, as hashes: an interrupted run is continued only by
/// one that would have made the same bytes.
final class Origin {
    /// Keys, and what a change of each is called.
    private static final Map<String, String> PARTS =
            Map.of(
                    "lithe", "Lithe's version",
                    "recipe", "the recipe",
                    "model", "the model",
                    "calibration", "the calibration text or its windows",
                    "files", "a file that the recipe names",
                    "original", "the model that the recipe started from");

    private Origin() {}

    static JsonNode of(Recipe recipe, Checkpoint source, @Nullable CalibrationSet calibration) {
        return of(recipe, source, calibration, null);
    }

    /// @param original what the whole recipe started from; null where nothing looks at it
    static JsonNode of(
            Recipe recipe,
            Checkpoint source,
            @Nullable CalibrationSet calibration,
            @Nullable Checkpoint original) {
        ObjectNode origin = JsonNodeFactory.instance.objectNode();
        String version = Origin.class.getPackage().getImplementationVersion();
        origin.put("lithe", version == null ? "development" : version);
        origin.put("recipe", sha256(recipe.toJson().toString()));
        origin.put("model", model(source));
        if (original != null) {
            origin.put("original", model(original));
        }
        origin.put("calibration", calibration == null ? "none" : sha256(text(calibration)));
        ArrayNode files = JsonNodeFactory.instance.arrayNode();
        recipe.steps().stream()
                .filter(ModelStage.class::isInstance)
                .flatMap(step -> ((ModelStage<?>) step).reads().stream())
                .forEach(file -> files.add(Sha256.of(file)));
        if (!files.isEmpty()) {
            origin.set("files", files);
        }
        return origin.put("sha256", sha256(origin.toString()));
    }

    private static String model(Checkpoint model) {
        return sha256(model.sha256() + model.config().toString());
    }

    /// The windows' tokens too: they depend on the tokenizer.
    private static String text(CalibrationSet set) {
        return set.text().sha256()
                + " "
                + set.samples()
                + " "
                + set.context()
                + " "
                + set.seed()
                + " "
                + Arrays.deepToString(set.windows());
    }

    private static String sha256(String text) {
        return Sha256.of(text.getBytes(StandardCharsets.UTF_8));
    }

    /// What is different, for people: `the recipe`, or several.
    static String difference(JsonNode earlier, JsonNode now) {
        List<String> different = new ArrayList<>();
        for (String key : List.of("lithe", "recipe", "model", "calibration", "files", "original")) {
            if (!earlier.path(key).equals(now.path(key))) {
                different.add(PARTS.getOrDefault(key, key));
            }
        }
        return different.isEmpty() ? "something" : String.join(", ", different);
    }
}
