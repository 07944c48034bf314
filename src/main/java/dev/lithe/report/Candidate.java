package dev.lithe.report;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.checkpoint.Checkpoint;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A model folder to measure.
///
/// @param name what the report calls it: `original`, `compressed`, or the folder's name
/// @param source what the user called it, such as `demo` or a path
/// @param folder where its files lie
/// @param compressSeconds that its making took, where known
/// @param recipe that made it, where known
public record Candidate(
        String name,
        String source,
        Path folder,
        @Nullable Double compressSeconds,
        @Nullable String recipe) {
    private static final String NOTES = "lithe.json";

    /// A model of which only the files are known; Lithe's own tell the recipe.
    public static Candidate of(String name, String source, Path folder) {
        return new Candidate(name, source, folder, null, recipeIn(folder));
    }

    private static @Nullable String recipeIn(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            JsonNode notes = checkpoint.json(NOTES);
            return notes == null || !notes.has("recipe") ? null : notes.get("recipe").toString();
        }
    }
}
