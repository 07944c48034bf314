package dev.lithe.search;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.report.MeasureOptions;
import dev.lithe.tokenize.TextFile;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A search that is asked for.
///
/// @param modelName what the user calls the model
/// @param model its folder
/// @param seconds of all trials together after which no more begin; infinite where only `trials`
///   counts
/// @param trials most recipes to try
/// @param calibrationText what candidates calibrate with, and what is held out of it to rank them
/// @param options how finalists are measured
/// @param space a file of options, or null for the built-in ones
/// @param folder where everything goes
/// @param workers the processes that search together in that folder
public record Request(
        String modelName,
        Path model,
        Goal goal,
        double seconds,
        int trials,
        long seed,
        Path calibrationText,
        MeasureOptions options,
        @Nullable Path space,
        Path folder,
        Workers workers) {
    /// All that decides what trials find, or which are made; not how many.
    JsonNode origin(Checkpoint source) {
        String version = Request.class.getPackage().getImplementationVersion();
        ObjectNode origin = JsonNodeFactory.instance.objectNode();
        origin.put("schema", "lithe.search/v1");
        origin.put("lithe", version == null ? "development" : version);
        origin.put("model", source.sha256().toString() + source.config());
        origin.put("calibration", TextFile.read(calibrationText).sha256());
        origin.put("evaluation", TextFile.read(options.text()).sha256());
        origin.put(
                "measure",
                options.context()
                        + " "
                        + options.tokens()
                        + " "
                        + options.latency()
                        + (options.device().isCpu() ? "" : " " + options.device()));
        origin.put("space", space == null ? "" : TextFile.read(space).sha256());
        origin.put("goal", goal.toString());
        return origin.put("seed", seed);
    }
}
