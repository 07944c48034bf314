package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OriginTest {
    @TempDir private Path folder;

    @Test
    void aChangedFileOfTheRecipeIsNoticed() throws IOException {
        Path task = folder.resolve("task.txt");
        Recipe recipe = RecipeParser.inline(List.of("specialize:task=" + task + ",remove=0.3"));
        Path model = TinyModel.small().write(folder.resolve("model"));
        try (Checkpoint source = Checkpoint.open(model)) {
            Files.writeString(task, "one two");
            JsonNode earlier = Origin.of(recipe, source, null);
            assertThat(Origin.of(recipe, source, null)).isEqualTo(earlier);
            Files.writeString(task, "one three");
            JsonNode now = Origin.of(recipe, source, null);
            assertThat(now.path("sha256")).isNotEqualTo(earlier.path("sha256"));
            assertThat(Origin.difference(earlier, now)).isEqualTo("a file that the recipe names");
        }
    }
}
