package dev.lithe.technique.reshape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.Specialize.Config;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SpecializeTest extends ModelTechniqueContract<Config> {
    private static final int HIDDEN = 32;
    private static final int HALF = HIDDEN / 2;
    private static final int A = 2 + 'a';
    private static final String PAIR = "{\"prompt\": \"bcb\", \"answer\": \"cbbc\"}\n";

    private final Specialize specialize = new Specialize();

    @TempDir private static Path files;

    @Override
    protected ModelTechnique<Config> technique() {
        return specialize;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                new Config(file("task.txt", "some words ".repeat(40)), 0.3, true, 8, 4),
                new Config(file("task.jsonl", PAIR.repeat(6)), 0.2, false, 8, 4));
    }

    /// Blocks 0 and 1 work on one half of the stream, 2 and 3 on the other, and only `a` is in the
    /// first: a task without it does not need them. The model is one of random ones that 2 and 3
    /// serve.
    @Test
    void removesWhatTheTaskDoesNotNeed(@TempDir Path folder) throws IOException {
        String task = file("b.txt", "bcd bbc dcb ".repeat(30));
        for (long seed = 1; seed <= 60; seed++) {
            TinyModel model = model().seed(seed);
            Path where = folder.resolve("model" + seed);
            model.write(where, model.config(), halves(model.tensors()));
            try (var source = Checkpoint.open(where);
                    var before = WholeModel.open(source, windows(A + 1))) {
                if (!needsTheLastTwo(before, Task.read(Path.of(task)).windows(where, 20))) {
                    continue;
                }
                try (var made = specialize.apply(before, new Config(task, 0.33, false, 64, 8))) {
                    assertThat(made.spec().layers()).isEqualTo(2);
                    assertThat(made.spec().parameters())
                            .isLessThan((long) (before.spec().parameters() * 0.67));
                    assertThat(made.blocks().getFirst().norm(Slot.QKV).floats())
                            .isEqualTo(before.blocks().get(2).norm(Slot.QKV).floats());
                    JsonNode notes = made.rewritten().get("specialize.json");
                    assertThat(change(notes, "on_task")).isLessThan(0.01);
                    assertThat(Math.abs(change(notes, "off_task"))).isGreaterThan(0.01);
                }
                return;
            }
        }
        fail("none of the random models needs its last two blocks");
    }

    private static boolean needsTheLastTwo(WholeModel model, CalibrationSet task) {
        try (var stack = new BlockStack(model, task)) {
            BitSet all = new BitSet();
            all.set(0, 4);
            BitSet third = (BitSet) all.clone();
            third.clear(3);
            BitSet fourth = (BitSet) all.clone();
            fourth.clear(2);
            BitSet last = new BitSet();
            last.set(2, 4);
            double loss = stack.without(all).loss();
            assertThat(stack.without(last).loss()).isCloseTo(loss, within(1e-5));
            return stack.without(third).loss() > loss + 0.05
                    && stack.without(fourth).loss() > loss + 0.05;
        }
    }

    /// Lines that are none are passed over, and answers are what is scored.
    @Test
    void answersAreScoredByThemselves(@TempDir Path folder) throws IOException {
        model().write(folder);
        String task = file("pairs.jsonl", "no line\n" + PAIR.repeat(6));
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(A + 1));
                var made = specialize.apply(before, new Config(task, 0.2, true, 8, 4))) {
            JsonNode notes = made.rewritten().get("specialize.json");
            assertThat(notes.at("/on_task/examples").asInt()).isEqualTo(2);
            assertThat(notes.at("/on_task/exact_match/after").asDouble()).isBetween(0.0, 1.0);
            assertThat(notes.at("/off_task/exact_match").isMissingNode()).isTrue();
            assertThat(made.spec().vocabSize()).isLessThan(300);
        }
    }

    private static double change(JsonNode notes, String task) {
        JsonNode bits = notes.path(task).path("bits_per_character");
        return bits.path("after").asDouble() - bits.path("before").asDouble();
    }

    /// Each block reads and writes its half only; of tokens only `a` is in the first.
    private static Map<String, RawTensor> halves(Map<String, RawTensor> tensors) {
        tensors.replaceAll((name, weight) -> {
            boolean embedding = name.contains("embed_tokens");
            if (!embedding && !name.contains("_proj")) {
                return weight;
            }
            boolean second = name.matches(".*layers\\.[23].*");
            boolean writes = name.contains("o_proj") || name.contains("down_proj");
            float[] values = weight.floats();
            int width = Math.toIntExact(weight.shape().getLast());
            for (int i = 0; i < values.length; i++) {
                int row = i / width;
                boolean wanted = embedding ? row != A : second;
                if ((writes ? row : i % width) >= HALF != wanted) {
                    values[i] = 0;
                }
            }
            return RawTensor.of(
                    DType.F32, values, weight.shape().stream().mapToLong(n -> n).toArray());
        });
        return tensors;
    }

    @Test
    void whatCannotBeDoneIsRefusedBeforeAnyWork() {
        var model = model().config();
        String text = file("text.txt", "words");
        assertThatThrownBy(() -> specialize.configure(model, new Config(text, 0.9, true, 8, 4)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("remove a smaller share");
        assertThatThrownBy(() -> new Config(text, 1, true, 8, 4)).hasMessageContaining("below 1");
        assertThatThrownBy(() -> new Config(text, 0, true, 8, 4)).hasMessageContaining("above 0");
        var parts = model().without(List.of(1), List.of()).config();
        assertThatThrownBy(() -> specialize.configure(parts, new Config(text, 0.3, true, 8, 4)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("with depth_prune's parts: blocks");
        assertThatThrownBy(() -> specialize.configure(model, specialize.defaults()))
                .hasMessageContaining("task names no file");
        for (String useless : List.of("{}\n", "nothing", "{\"prompt\": \"a\", \"answer\": \"\"}")) {
            String file = file("useless.jsonl", useless);
            assertThatThrownBy(() -> specialize.configure(model, new Config(file, 0.3, true, 8, 4)))
                    .hasMessageContaining("no usable line");
        }
    }

    private static String file(String name, String content) {
        try {
            return Files.writeString(files.resolve(name), content).toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
