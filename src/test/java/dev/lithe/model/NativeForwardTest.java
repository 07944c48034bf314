package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A whole model by the native kernels against the same model by libtorch, and against itself.
class NativeForwardTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int CONTEXT = 256;
    private static final int WINDOWS = 8;

    @TempDir private Path temporary;

    @BeforeEach
    void needsTheLibrary() {
        assumeFalse(NativeLibrary.runnable().isEmpty(), "no C compiler was at hand");
    }

    @ParameterizedTest
    @ValueSource(strings = {"int8", "int4"})
    void perplexityIsThatOfLibtorch(String recipe) {
        Path folder = compressed(recipe);
        double expected = perplexity(folder, Optional.empty());
        for (Instructions instructions : NativeLibrary.runnable()) {
            if (instructions != Instructions.SCALAR) {
                assertThat(perplexity(folder, Optional.of(instructions)) / expected)
                        .as("%s by %s", recipe, instructions)
                        .isCloseTo(1, within(1e-3));
            }
        }
    }

    /// Threads that prepare a row each for itself must not get ahead of one another: gemma2 writes
    /// what it gates over.
    @ParameterizedTest
    @ValueSource(strings = {"qwen2", "gemma2", "gemma3_text"})
    void aTokenIsTheSameAgainAndAgain(String type) throws IOException {
        Path folder = TinyModel.of(type).width(64, 512).layers(2).write(temporary.resolve("tiny"));
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, 4, scope);
            float[] expected = decoder.next(new int[] {3}, cache);
            for (int i = 0; i < 10_000; i++) {
                cache.rewind(0);
                assertThat(decoder.next(new int[] {3}, cache)).as("time %d", i).isEqualTo(expected);
            }
        }
    }

    /// Floats are computed in the same order, and integers are exact.
    @ParameterizedTest
    @ValueSource(strings = {"int8", "int4", "none"})
    void aTokenDoesNotDependOnWhatIsComputedWithIt(String recipe) {
        Path folder = recipe.equals("none") ? DEMO : compressed(recipe);
        try (Decoder decoder = Decoder.open(folder);
                Tokenizer tokenizer = Tokenizer.open(folder);
                var scope = TensorScope.open()) {
            int[] ids = ids(tokenizer);
            KvCache first = decoder.newCache(1, 40, scope);
            KvCache second = decoder.newCache(1, 300, scope);
            KvCache third = decoder.newCache(1, 20, scope);
            try (var alone = new KvBatch(List.of(first));
                    var others = new KvBatch(List.of(second, third, first))) {
                List<float[]> expected = new ArrayList<>();
                for (int i = 0; i < 12; i++) {
                    expected.add(logits(decoder.decode(new int[] {ids[i]}, alone, scope), 0));
                }
                first.rewind(0);
                int[][] pieces = {
                    Arrays.copyOfRange(ids, 50, 330), {7}, Arrays.copyOfRange(ids, 0, 5)
                };
                assertThat(logits(decoder.extend(pieces, others, false, scope), 2))
                        .isEqualTo(expected.get(4));
                for (int i = 5; i < 12; i++) {
                    int[] next = {ids[i + 9], ids[i + 2], ids[i]};
                    assertThat(logits(decoder.decode(next, others, scope), 2))
                            .as("token %d", i)
                            .isEqualTo(expected.get(i));
                }
            }
        }
    }

    @Test
    void aModelThatItTakesIsRunByIt() {
        try (Decoder decoder = Decoder.open(DEMO)) {
            String label = NativeLibrary.chosen().orElseThrow().label();
            assertThat(decoder.kernels()).containsOnlyKeys("float16 (" + label + ")");
        }
    }

    private static float[] logits(Value rows, int row) {
        float[] all = rows.floats();
        int width = rows.size(-1);
        return Arrays.copyOfRange(all, row * width, (row + 1) * width);
    }

    private Path compressed(String recipe) {
        try (var checkpoint = Checkpoint.open(DEMO)) {
            Plan plan = Plan.of(RecipeParser.named(recipe), checkpoint);
            return new Compressor(plan, checkpoint, (_, _, _) -> {})
                    .run(temporary.resolve(recipe), false);
        }
    }

    private static int[] ids(Tokenizer tokenizer) {
        return TextFile.read(DEMO.resolve("evaluation.txt")).tokenize(tokenizer);
    }

    private static double perplexity(Path folder, Optional<Instructions> instructions) {
        try (Decoder decoder = Decoder.open(folder, instructions);
                Tokenizer tokenizer = Tokenizer.open(folder)) {
            long[] ids = Arrays.stream(ids(tokenizer)).asLongStream().toArray();
            double loss = 0;
            for (int i = 0; i < WINDOWS; i++) {
                try (var scope = TensorScope.open()) {
                    long[] window = Arrays.copyOfRange(ids, i * CONTEXT, (i + 1) * CONTEXT);
                    long[] targets =
                            Arrays.copyOfRange(ids, i * CONTEXT + 1, (i + 1) * CONTEXT + 1);
                    KvCache cache = decoder.newCache(1, CONTEXT, scope);
                    Value input = scope.tensor(window, 1, CONTEXT);
                    Value logits = decoder.forward(input, 0, cache, true, scope);
                    Value target = scope.tensor(targets, 1, CONTEXT);
                    for (float each : scope.call("token_loss", logits, target).floats()) {
                        loss += each;
                    }
                }
            }
            return Math.exp(loss / (WINDOWS * CONTEXT));
        }
    }
}
