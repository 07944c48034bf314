package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Sequences computed together get the logits that each gets alone, whatever their lengths.
class DecodeTogetherTest {
    private static final int VOCAB = 300;
    private static final long SEED = 41;
    private static final int[] LENGTHS = {1, 37, 5, 20};

    @TempDir private Path folder;

    static Stream<Arguments> models() {
        TinyModel biased = TinyModel.small().heads(6, 2, 10).biases().seed(6);
        TinyModel grouped = TinyModel.small().heads(4, 1, 16).seed(9);
        return Stream.of(
                Arguments.of("float32", TinyModel.small(), 16, 16, 1e-4),
                Arguments.of("float16", TinyModel.small().dtype(DType.F16), 16, 16, 1e-4),
                Arguments.of("biased", biased, 16, 16, 1e-4),
                Arguments.of("kv 8", grouped, 8, 8, 0.02),
                Arguments.of("kv 4 and 8", grouped, 4, 8, 0.2),
                Arguments.of("kv 16 and 4", biased, 16, 4, 0.2));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void asEachAlone(String name, TinyModel model, int keys, int values, double tolerance)
            throws IOException {
        ObjectNode config = model.config();
        new KvCacheForm(keys, values).describe(config);
        var random = new Random(SEED);
        try (Decoder decoder = Decoder.open(model.write(folder, config, model.tensors()));
                var scope = TensorScope.open()) {
            int[][] prompts =
                    Arrays.stream(LENGTHS)
                            .mapToObj(n -> random.ints(n, 0, VOCAB).toArray())
                            .toArray(int[][]::new);
            List<KvCache> together = caches(decoder, scope);
            List<KvCache> alone = caches(decoder, scope);
            try (var batch = new KvBatch(together)) {
                float[] logits = decoder.extend(prompts, batch, false, scope).floats();
                check(logits, alone(decoder, prompts, alone, scope), tolerance);
                for (int step = 0; step < 3; step++) {
                    int[] ids = random.ints(LENGTHS.length, 0, VOCAB).toArray();
                    int[][] pieces =
                            Arrays.stream(ids).mapToObj(id -> new int[] {id}).toArray(int[][]::new);
                    float[] next = decoder.decode(ids, batch, scope).floats();
                    check(next, alone(decoder, pieces, alone, scope), tolerance);
                }
                int[][] mixed = {{1, 2, 3}, {4}, {5, 6}, {7}};
                float[] all = decoder.extend(mixed, batch, true, scope).floats();
                assertThat(all).hasSize(7 * VOCAB);
                float[] last = alone(decoder, mixed, alone, scope);
                int[] ends = {2, 3, 5, 6};
                for (int i = 0; i < ends.length; i++) {
                    check(row(all, ends[i]), row(last, i), tolerance);
                }
            }
            for (int i = 0; i < LENGTHS.length; i++) {
                assertThat(together.get(i).position()).isEqualTo(alone.get(i).position());
            }
        }
    }

    private static List<KvCache> caches(Decoder decoder, TensorScope scope) {
        List<KvCache> caches = new ArrayList<>();
        for (int length : LENGTHS) {
            caches.add(decoder.newCache(1, length + 9, scope));
        }
        return caches;
    }

    private static float[] alone(
            Decoder decoder, int[][] pieces, List<KvCache> caches, TensorScope scope) {
        float[] result = new float[pieces.length * VOCAB];
        for (int i = 0; i < pieces.length; i++) {
            long[] ids = Arrays.stream(pieces[i]).asLongStream().toArray();
            KvCache cache = caches.get(i);
            float[] logits =
                    decoder.forward(
                                    scope.tensor(ids, 1, ids.length),
                                    cache.position(),
                                    cache,
                                    false,
                                    scope)
                            .floats();
            System.arraycopy(logits, 0, result, i * VOCAB, VOCAB);
        }
        return result;
    }

    private static float[] row(float[] logits, int row) {
        return Arrays.copyOfRange(logits, row * VOCAB, (row + 1) * VOCAB);
    }

    private static void check(float[] actual, float[] expected, double tolerance) {
        assertThat(actual).as("seed %d", SEED).containsExactly(expected, within((float) tolerance));
    }

    @ParameterizedTest
    @CsvSource({"16,16", "8,8", "4,4", "4,16", "16,8"})
    void aCopiedBeginningContinuesAsTheOriginal(int keys, int values) throws IOException {
        TinyModel model = TinyModel.small().heads(4, 2, 16).positions(1024);
        ObjectNode config = model.config();
        new KvCacheForm(keys, values).describe(config);
        int[] ids = new Random(SEED).ints(601, 0, VOCAB).toArray();
        try (Decoder decoder = Decoder.open(model.write(folder, config, model.tensors()));
                var scope = TensorScope.open()) {
            for (int length : new int[] {1, 33, 300, 600}) {
                KvCache source = decoder.newCache(1, 640, scope);
                int[][] whole = {Arrays.copyOf(ids, 600)};
                try (var batch = new KvBatch(List.of(source))) {
                    decoder.extend(whole, batch, false, scope);
                }
                KvCache copy = decoder.newCache(1, length + 1, scope);
                decoder.copy(source, length, copy);
                source.rewind(length);
                try (var first = new KvBatch(List.of(source));
                        var second = new KvBatch(List.of(copy))) {
                    int[] next = {ids[length]};
                    check(
                            decoder.decode(next, second, scope).floats(),
                            decoder.decode(next, first, scope).floats(),
                            1e-4);
                }
            }
        }
    }

    @Test
    void likeliestTellsOfNumbersThatAreNone() {
        try (var scope = TensorScope.open()) {
            float[] logits = {1, 5, 2, Float.NaN, 0, 0};
            float[] found = scope.call("likeliest", scope.tensor(logits, 2, 3)).floats();
            assertThat(found[0]).isEqualTo(1);
            assertThat(found[1]).isEqualTo(5);
            assertThat(found[3]).isNaN();
        }
    }
}
