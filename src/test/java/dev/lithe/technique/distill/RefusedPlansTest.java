package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Trainings that cannot end well are refused before any stage has run.
class RefusedPlansTest {
    @TempDir private Path folder;

    private Path model;

    @BeforeEach
    void writeModel() throws IOException {
        model = TinyModel.small().layers(4).write(folder.resolve("model"));
    }

    private void requireRefused(String reason, String... stages) {
        try (Checkpoint source = Checkpoint.open(model)) {
            var recipe = RecipeParser.inline(Arrays.asList(stages));
            assertThatThrownBy(() -> Pipeline.plan(recipe, source))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining(reason);
        }
    }

    @Test
    void aBlockNeedsOneToLearnFrom() {
        requireRefused(
                "the original has 4 blocks of width 32, and this model 3",
                "depth_prune:remove=1",
                "block_heal");
    }

    @Test
    void aTextHasToFillAWindow() throws IOException {
        Path text = Files.writeString(folder.resolve("short.txt"), "one two");
        requireRefused("is shorter than a window of", "train:steps=1,text=" + text);
        Files.writeString(text, "");
        requireRefused("holds 0 bytes", "train:steps=1,text=" + text);
    }

    @Test
    void anAdapterIsNoWiderThanTheModel() {
        for (String stage : List.of("heal", "block_heal")) {
            requireRefused("rank is 60000, and no linear", stage + ":rank=60000");
        }
    }

    @Test
    void anAdapterBesideZerosIsNone() {
        requireRefused("was pruned", "wanda", "heal:rank=2,adapter=" + folder.resolve("adapter"));
    }

    @Test
    void aTeacherHasTheSameTokens() {
        try (Checkpoint source = Checkpoint.open(model)) {
            var other = ModelSpec.of(TinyModel.small().vocab(301).config(), "other");
            assertThatThrownBy(() -> new Heal().check(source, other, 8, new Heal().defaults()))
                    .hasMessageContaining("300 tokens are other ones than this model's 301");
            assertThatThrownBy(
                            () -> new Distill().check(source, other, 8, new Distill().defaults()))
                    .hasMessageContaining("cannot be its teacher");
        }
    }

    @Test
    void theAdapterAndTheResultLieApart() {
        try (Checkpoint source = Checkpoint.open(model)) {
            Path made = folder.resolve("made");
            var recipe = RecipeParser.inline(List.of("heal:rank=2,adapter=" + made));
            var pipeline =
                    new Pipeline(
                            recipe,
                            source,
                            (_, _) -> {
                                throw new AssertionError("it went to work");
                            },
                            (_, _, _) -> (_, _, _) -> {});
            for (Path output : List.of(made, made.resolve("inside"))) {
                assertThatThrownBy(() -> pipeline.run(output, true))
                        .isInstanceOf(LitheException.class)
                        .hasMessageContaining("heal writes to")
                        .hasMessageContaining("choose folders apart");
            }
            assertThat(made).doesNotExist();
        }
    }
}
