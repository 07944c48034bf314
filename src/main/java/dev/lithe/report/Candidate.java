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
/// @param trainings how stages of its recipe trained, where known
public record Candidate(
        String name,
        String source,
        Path folder,
        @Nullable Double compressSeconds,
        @Nullable String recipe,
        List<Report.Layer> layers,
        List<Report.Stage> stages,
        List<Report.Training> trainings) {
    private static final String NOTES = "lithe.json";
    private static final String CURVES = "training.json";

    public Candidate {
        layers = List.copyOf(layers);
        stages = List.copyOf(stages);
        trainings = List.copyOf(trainings);
    }

    /// The same, of which it is known how long its making took.
    public Candidate madeIn(double seconds) {
        return new Candidate(name, source, folder, seconds, recipe, layers, stages, trainings);
    }

    /// The same, of which it is known what each stage left.
    public Candidate madeBy(List<Report.Stage> measured) {
        return new Candidate(
                name, source, folder, compressSeconds, recipe, layers, measured, trainings);
    }

    /// A model of which only the files are known; Lithe's own tell the recipe.
    public static Candidate of(String name, String source, Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            JsonNode notes = checkpoint.json(NOTES);
            return new Candidate(
                    name,
                    source,
                    folder,
                    null,
                    notes == null ? null : recipe(notes),
                    notes == null ? List.of() : layers(notes),
                    List.of(),
                    trainings(checkpoint.json(CURVES)));
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

    private static List<Report.Training> trainings(@Nullable JsonNode file) {
        List<Report.Training> trainings = new ArrayList<>();
        for (JsonNode curve : file == null ? List.<JsonNode>of() : file.path("curves")) {
            trainings.add(
                    new Report.Training(
                            curve.path("stage").asText(),
                            curve.path("steps").asInt(),
                            curve.path("tokens_per_step").asInt(),
                            points(curve.path("loss")),
                            points(curve.path("held_out"))));
        }
        return trainings;
    }

    private static List<List<Double>> points(JsonNode list) {
        List<List<Double>> points = new ArrayList<>();
        list.forEach(
                point -> points.add(List.of(point.path(0).asDouble(), point.path(1).asDouble())));
        return points;
    }

    private static @Nullable Double number(JsonNode node, String key) {
        return node.path(key).isNumber() ? Double.valueOf(node.path(key).asDouble()) : null;
    }
}
