package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The folder that `heal: {adapter: FOLDER}` writes beside the result.
class AdapterFolderTest {
    @TempDir private Path folder;

    private Path heal() throws IOException {
        Path adapter = folder.resolve("adapter");
        Path model = TinyModel.small().write(folder.resolve("model"));
        String text = "one two three four five six seven ".repeat(60);
        long[][] windows = {new Random(5).longs(16, 0, 300).toArray()};
        try (Checkpoint source = Checkpoint.open(model)) {
            String stage = "heal:steps=1,rank=2,batch=1,adapter=" + adapter;
            new Pipeline(
                            RecipeParser.inline(List.of(stage)),
                            source,
                            (_, _) -> new CalibrationSet(new TextFile("t", "", text), windows, 5),
                            (_, _, _) -> (_, _, _) -> {})
                    .run(folder.resolve("made"), true);
        }
        return adapter;
    }

    private static void requireWhole(Path adapter) {
        assertThat(Adapter.open(adapter).modules()).isNotEmpty();
        assertThat(adapter.resolveSibling("adapter.partial")).doesNotExist();
    }

    /// Whichever of its files a crash left alone, the same command ends with both.
    @Test
    void isWholeWhateverWasThere() throws IOException {
        Path adapter = heal();
        requireWhole(adapter);
        for (String lost : List.of("adapter_config.json", "adapter_model.safetensors")) {
            Files.delete(adapter.resolve(lost));
            requireWhole(heal());
        }
    }
}
