package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.distill.Train.Config;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainTest extends ModelTechniqueContract<Config> {
    private final Train train = new Train();

    @Override
    protected ModelTechnique<Config> technique() {
        return train;
    }

    private static Config config(String text, int steps) {
        return new Config(
                text,
                new StudentShape(2, 16, 24, 4, 2),
                new Schedule(steps, 4, 1e-2, 3, DType.F32));
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                config("", 2),
                new Config(
                        "",
                        new StudentShape(6, 0, 0, 0, 0),
                        new Schedule(2, 2, 1e-3, 1, DType.BF16)));
    }

    @Test
    void learnsWhatAFolderSays(@TempDir Path folder) throws IOException {
        Path texts = Files.createDirectory(folder.resolve("texts"));
        Files.writeString(texts.resolve("b.txt"), "abab".repeat(200));
        Files.writeString(texts.resolve("a.txt"), "abab".repeat(200));
        Files.writeString(texts.resolve("notes"), "no part of it");
        assertThat(train.reads(config(texts.toString(), 2)))
                .containsExactly(texts.resolve("a.txt"), texts.resolve("b.txt"));
        model().write(folder.resolve("model"));
        try (Checkpoint source = Checkpoint.open(folder.resolve("model"));
                WholeModel model = WholeModel.open(source, windows(300), bench(source));
                WholeModel made = train.apply(model, config(texts.toString(), 60))) {
            var heldOut = made.rewritten().get("training.json").at("/curves/0/held_out");
            double first = heldOut.get(0).get(1).asDouble();
            double last = heldOut.get(heldOut.size() - 1).get(1).asDouble();
            assertThat(first).isGreaterThan(5); // ln 300 is 5.7
            assertThat(last).isLessThan(1);
        }
    }

    @Test
    void refusesWhatCannotBe(@TempDir Path folder) {
        assertThatThrownBy(() -> train.reads(config(folder.toString(), 1)))
                .hasMessageContaining("holds no file that ends in .txt");
        assertThatThrownBy(() ->
                        train.configure(
                                model().config(), config(folder.resolve("no").toString(), 1)))
                .hasMessageContaining("neither a file nor a folder");
        assertThatThrownBy(() -> new StudentShape(-1, 0, 0, 0, 0))
                .hasMessageContaining("choose at least 1");
        assertThatThrownBy(() -> new StudentShape(0, 0, 0, 3, 2).configure(model().config(), 9))
                .hasMessageContaining("heads is 3, no multiple of kv_heads, 2");
    }
}
