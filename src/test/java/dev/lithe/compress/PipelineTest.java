package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Recipes whose steps take the model as a whole, alone and among others.
class PipelineTest {
    private static final long SEED = 5;
    private static final List<String> CHAIN =
            List.of(
                    "wanda:storage=dense",
                    "depth_prune:remove=1,samples=2",
                    "width_prune:ffn=0.25,multiple_of=8",
                    "gptq:bits=4,group_size=8",
                    "kv_cache:keys=8,values=8");

    @TempDir private Path temporary;

    @BeforeEach
    void writeModel() throws IOException {
        TinyModel.small().layers(3).write(temporary.resolve("model"));
    }

    private static CalibrationSet windows() {
        var random = new Random(SEED);
        long[][] windows =
                Stream.generate(() -> random.longs(24, 0, 300).toArray())
                        .limit(4)
                        .toArray(long[][]::new);
        return new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
    }

    /// Notes what happened; fails when leg `failing` begins.
    private static class Notes implements Pipeline.Listener {
        final List<String> events = new ArrayList<>();
        private final int failing;
        private int begun;

        Notes(int failing) {
            this.failing = failing;
        }

        @Override
        public Compressor.Listener begins(
                Pipeline.Leg leg, Checkpoint source, @Nullable CalibrationSet calibration) {
            events.add("begins " + leg.recipe().summary());
            if (begun++ == failing) {
                throw LitheException.of(Fault.INTERNAL, "pulled the plug");
            }
            return (_, _, _) -> {};
        }

        @Override
        public void ended(Pipeline.Leg leg, boolean earlier) {
            if (earlier) {
                events.add("had " + leg.recipe().summary());
            }
        }
    }

    private Path run(String name, List<String> stages, Notes notes) {
        Path output = temporary.resolve(name);
        try (Checkpoint source = Checkpoint.open(temporary.resolve("model"))) {
            Recipe recipe = RecipeParser.inline(stages);
            new Pipeline(recipe, source, (_, _) -> windows(), notes).run(output, false);
        }
        return output;
    }

    private static Map<String, String> hashes(Path folder) throws IOException {
        Map<String, String> hashes = new TreeMap<>();
        try (var files = Files.list(folder)) {
            for (Path file : files.toList()) {
                hashes.put(file.getFileName().toString(), dev.lithe.checkpoint.Sha256.of(file));
            }
        }
        return hashes;
    }

    @Test
    void recipesThatBeginAlikeShareWhatTheyBeginWith() throws IOException {
        Path shared = temporary.resolve("shared");
        var first = new Notes(-1);
        var second = new Notes(-1);
        run("first", CHAIN, first, shared);
        List<String> other = List.of(CHAIN.get(0), CHAIN.get(1), "rtn:bits=8,group_size=0");
        run("second", other, second, shared);
        assertThat(second.events).containsExactly("had wanda", "had depth_prune", "begins rtn");
        assertThat(hashes(temporary.resolve("second")).get("model.safetensors"))
                .isEqualTo(hashes(run("alone", other, new Notes(-1))).get("model.safetensors"));
    }

    private void run(String name, List<String> stages, Notes notes, Path shared) {
        try (Checkpoint source = Checkpoint.open(temporary.resolve("model"))) {
            Recipe recipe = RecipeParser.inline(stages);
            new Pipeline(recipe, source, (_, _) -> windows(), notes)
                    .run(temporary.resolve(name), false, shared);
        }
    }

    /// What is measured between legs may fail or be killed: the result is not there yet, and
    /// nothing of what is made is made again.
    @Test
    void itGoesOnBehindWhatHappenedBeforeTheLastLeg() {
        var broken =
                new Notes(-1) {
                    @Override
                    public void beforeLast(List<Pipeline.Made> legs) {
                        assertThat(legs).hasSize(4);
                        assertThat(legs.get(2).to()).isDirectory();
                        assertThat(legs.get(3).to()).doesNotExist();
                        throw LitheException.of(Fault.INTERNAL, "pulled the plug");
                    }
                };
        assertThatThrownBy(() -> run("made", CHAIN, broken)).hasMessageContaining("plug");
        assertThat(temporary.resolve("made")).doesNotExist();
        var notes = new Notes(-1);
        run("made", CHAIN, notes);
        assertThat(notes.events)
                .containsExactly(
                        "had wanda",
                        "had depth_prune",
                        "had width_prune",
                        "begins gptq → kv_cache");
        assertThat(temporary.resolve("made.stages")).doesNotExist();
    }

    @Test
    void stepsOfEveryScopeFollowEachOther() {
        var notes = new Notes(-1);
        Path made = run("made", CHAIN, notes);
        assertThat(notes.events)
                .containsExactly(
                        "begins wanda",
                        "begins depth_prune",
                        "begins width_prune",
                        "begins gptq → kv_cache");
        assertThat(temporary.resolve("made.stages")).doesNotExist();
        try (Decoder decoder = Decoder.open(made);
                Checkpoint checkpoint = Checkpoint.open(made)) {
            assertThat(decoder.spec().layers()).isEqualTo(2);
            assertThat(decoder.spec().intermediateSize()).isEqualTo(40);
            assertThat(decoder.spec().kvCache().keys()).isEqualTo(8);
            var lithe = checkpoint.json("lithe.json");
            assertThat(lithe).isNotNull();
            assertThat(lithe.at("/recipe/stages")).hasSize(5);
            assertThat(lithe.at("/source/name").asText()).isEqualTo("model");
            try (Checkpoint source = Checkpoint.open(temporary.resolve("model"))) {
                assertThat(checkpoint.tensorBytes())
                        .as("planned bytes")
                        .isEqualTo(
                                Pipeline.plan(RecipeParser.inline(CHAIN), source)
                                        .getLast()
                                        .plan()
                                        .bytes());
            }
        }
    }

    @Test
    void goesOnBehindTheLastFinishedLegAndMakesTheSame() throws IOException {
        Path whole = run("whole", CHAIN, new Notes(-1));
        assertThatThrownBy(() -> run("cut", CHAIN, new Notes(2))).hasMessage("pulled the plug");
        assertThat(temporary.resolve("cut")).doesNotExist();
        var notes = new Notes(-1);
        Path cut = run("cut", CHAIN, notes);
        assertThat(notes.events)
                .containsExactly(
                        "had wanda",
                        "had depth_prune",
                        "begins width_prune",
                        "begins gptq → kv_cache");
        assertThat(hashes(cut)).isEqualTo(hashes(whole));
    }

    @Test
    void aLegWhoseBitsWereChosenIsKnownAgain() throws IOException {
        List<String> stages =
                List.of(
                        "bit_allocation:average_bits=9,group_sizes=[8],samples=2",
                        "gptq",
                        "depth_prune:remove=1,samples=2");
        Path whole = run("whole", stages, new Notes(-1));
        assertThatThrownBy(() -> run("cut", stages, new Notes(1))).hasMessage("pulled the plug");
        var notes = new Notes(-1);
        Path cut = run("cut", stages, notes);
        assertThat(notes.events).containsExactly("had gptq", "begins depth_prune");
        assertThat(hashes(cut)).isEqualTo(hashes(whole));
    }

    @Test
    void anotherRecipeDoesNotTakeOverWhatIsLeft() {
        assertThatThrownBy(() -> run("cut", CHAIN, new Notes(1))).hasMessage("pulled the plug");
        List<String> other = new ArrayList<>(CHAIN);
        other.set(0, "wanda:storage=dense,sparsity=0.3");
        var notes = new Notes(-1);
        run("cut", other, notes);
        assertThat(notes.events.getFirst()).isEqualTo("begins wanda");
    }

    @Test
    void whatCannotBeIsRefusedBeforeAnyWork() {
        refused(List.of("rtn", "width_prune"), "takes dense ones, so it goes before");
        refused(List.of("depth_prune:remove=2", "depth_prune:remove=1"), "has 1 blocks");
        refused(List.of("width_prune:multiple_of=8", "wanda:pattern=5:7"), "5:7 does not divide");
        refused(List.of("depth_prune", "vocab_trim:tokens=100"), "and the alphabet are 258");
        refused(
                List.of("bit_allocation:average_bits=4", "depth_prune", "rtn"),
                "right before the stage");
    }

    private void refused(List<String> stages, String reason) {
        var notes = new Notes(-1);
        assertThatThrownBy(() -> run("refused", stages, notes))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
        assertThat(notes.events).isEmpty();
        assertThat(temporary.resolve("refused")).doesNotExist();
        assertThat(temporary.resolve("refused.stages")).doesNotExist();
    }

    @Test
    void aStrangersFolderBetweenLegsIsLeftAlone() throws IOException {
        Path file = temporary.resolve("mine.stages").resolve("thesis.txt");
        Files.createDirectories(file.getParent());
        Files.writeString(file, "all my work");
        assertThatThrownBy(() -> run("mine", CHAIN, new Notes(-1)))
                .hasMessageContaining("thesis.txt, which Lithe did not put there");
        assertThat(file).hasContent("all my work");
    }
}
