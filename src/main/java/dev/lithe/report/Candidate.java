package dev.lithe.report;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.Checkpoint;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A model folder to measure.
///
/// @param name what the report calls it: `original`, `compressed`, or the folder's name
/// @param source what the user called it, such as `demo` or a path
/// @param folder where its files lie
/// @param compressSeconds that its making took, where known
/// @param recipe that made it, where known
/// @param layers what became of each linear layer, where known
/// @param stages what each stage of its recipe left, where that was measured
public record Candidate(
        String name,
        String source,
        Path folder,
        @Nullable Double compressSeconds,
        @Nullable String recipe,
        List<Report.Layer> layers,
        List<Report.Stage> stages) {
    private static final String NOTES = "lithe.json";

    public Candidate {
        layers = List.copyOf(layers);
        stages = List.copyOf(stages);
    }

    /// The same, of which it is known how long its making took.
    public Candidate madeIn(double seconds) {
        return new Candidate(name, source, folder, seconds, recipe, layers, stages);
    }

    /// The same, of which it is known what each stage left.
    public Candidate madeBy(List<Report.Stage> measured) {
        return new Candidate(name, source, folder, compressSeconds, recipe, layers, measured);
    }

    /// A model of which only the files are known; Lithe's own tell the recipe.
    public static Candidate of(String name, String source, Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            JsonNode notes = checkpoint.json(NOTES);
            return notes == null
                    ? new Candidate(name, source, folder, null, null, List.of(), List.of())
                    : new Candidate(
                            name, source, folder, null, recipe(notes), layers(notes), List.of());
        }
    }

    /// The text that the model in `folder` was calibrated with, where Lithe noted one.
    static Report.@Nullable Text calibrationText(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            JsonNode notes = checkpoint.json(NOTES);
            JsonNode text = notes == null ? null : notes.path("calibration");
            return text == null || !text.isObject()
                    ? null
                    : new Report.Text(text.path("text").asText(), text.path("sha256").asText());
        }
    }

    private static @Nullable String recipe(JsonNode notes) {
        return notes.has("recipe") ? notes.get("recipe").toString() : null;
    }

    private static List<Report.Layer> layers(JsonNode notes) {
        List<Report.Layer> layers = new ArrayList<>();
        for (JsonNode layer : notes.path("layers")) {
            layers.add(
                    new Report.Layer(
                            layer.path("name").asText(),
                            layer.path("form").asText(),
                            number(layer, "error"),
                            layer.has("of") ? layer.path("of").asText() : null,
                            number(layer, "nearest"),
                            layer.has("trouble") ? layer.path("trouble").asText() : null));
        }
        return layers;
    }

    private static @Nullable Double number(JsonNode node, String key) {
        return node.path(key).isNumber() ? Double.valueOf(node.path(key).asDouble()) : null;
    }
}
