package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Keys and values in few bits: the format `lithe.kv/v1` against loops over doubles, and the same
/// logits however the tokens are fed.
///
/// A number that lies almost between two codes may fall to either side, so logits are compared with
/// what rounding does to them at all.
class KvCacheTest {
    private static final int VOCAB = 300;

    /// Of the change that rounding makes.
    private static final double TOLERANCE = 0.05;

    @TempDir private Path folder;

    static Stream<Arguments> forms() {
        TinyModel odd = TinyModel.small().width(60, 172).heads(5, 5, 12).layers(3).seed(2);
        TinyModel wide = TinyModel.small().heads(6, 2, 10).biases().seed(6);
        TinyModel grouped = TinyModel.small().heads(4, 1, 16).seed(9);
        return Stream.of(
                Arguments.of(8, 8, grouped),
                Arguments.of(4, 4, grouped),
                Arguments.of(8, 8, odd),
                Arguments.of(4, 4, odd),
                Arguments.of(4, 4, wide),
                Arguments.of(4, 8, wide),
                Arguments.of(8, 4, grouped),
                Arguments.of(16, 4, grouped),
                Arguments.of(16, 8, odd),
                Arguments.of(4, 16, odd),
                Arguments.of(8, 16, wide));
    }

    @ParameterizedTest(name = "keys {0}, values {1}")
    @MethodSource("forms")
    void agreesWithTheNaivePassHoweverTokensAreFed(int keys, int values, TinyModel model)
            throws IOException {
        int length = 45;
        int[] ids = new Random(11).ints(length, 0, VOCAB).toArray();
        ObjectNode config = config(model, keys, values);
        double[][] exact = new NaiveDecoder(model.config(), model.tensors()).logits(ids);
        double[][] rounded =
                new NaiveDecoder(config, model.tensors())
                        .keeping(x -> keptKeys(x, keys), x -> kept(x, values))
                        .logits(ids);
        double effect = distance(rounded, exact);
        assertThat(effect).isGreaterThan(1e-4);
        try (Decoder decoder = Decoder.open(model.write(folder, config, model.tensors()))) {
            int[] everyToken = new int[length];
            Arrays.setAll(everyToken, t -> t + 1);
            for (int[] ends :
                    new int[][] {{length}, {7, 10, 33, 34, length}, {1, 31, 45}, everyToken}) {
                double[][] logits = logits(decoder, ids, ends);
                assertThat(distance(logits, rounded))
                        .as("pieces that end at %s, of %s", Arrays.toString(ends), effect)
                        .isLessThan(TOLERANCE * effect);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"8,8", "4,4", "16,4", "8,16"})
    void oneTokenAtATimeIsTheWholeWindow(int keys, int values) throws IOException {
        int length = 600; // three blocks of keys
        TinyModel model = TinyModel.small().heads(4, 2, 32).positions(length).seed(3);
        int[] ids = new Random(5).ints(length, 0, VOCAB).toArray();
        try (Decoder exact = Decoder.open(model.write(folder.resolve("float")));
                Decoder decoder = open(model, keys, values)) {
            double[][] window = logits(decoder, ids, length);
            double effect = distance(window, logits(exact, ids, length));
            int[] ends = new int[length - 500 + 1];
            Arrays.setAll(ends, i -> 500 + i);
            assertThat(distance(logits(decoder, ids, ends), window)).isLessThan(TOLERANCE * effect);
        }
    }

    @Test
    void rowsOfABatchAreStrangers() throws IOException {
        int length = 12;
        try (Decoder decoder = open(TinyModel.small().heads(4, 2, 16), 4, 4);
                var scope = TensorScope.open()) {
            int[] ids = new Random(12).ints(3 * length, 0, VOCAB).toArray();
            KvCache together = decoder.newCache(3, length, scope);
            KvCache alone = decoder.newCache(1, length, scope);
            for (int t = 0; t < length; t++) {
                long[] column = {ids[t], ids[length + t], ids[2 * length + t]};
                float[] logits = run(decoder, scope.tensor(column, 3, 1), t, together, scope);
                long[] last = {column[2]};
                float[] single = run(decoder, scope.tensor(last, 1, 1), t, alone, scope);
                float[] row = Arrays.copyOfRange(logits, 2 * VOCAB, 3 * VOCAB);
                assertThat(row).containsExactly(single, within(1e-3f));
            }
        }
    }

    @Test
    void aPlaceCanBeWrittenAgain() throws IOException {
        int[] ids = new Random(8).ints(20, 0, VOCAB).toArray();
        try (Decoder decoder = open(TinyModel.small(), 4, 4);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, 20, scope);
            Value wrong = scope.tensor(new long[20], 1, 20);
            Value right = scope.tensor(longs(ids), 1, 20);
            float[] first = run(decoder, right, 0, cache, scope);
            run(decoder, wrong, 0, cache, scope);
            assertThat(run(decoder, right, 0, cache, scope)).isEqualTo(first);
        }
    }

    @ParameterizedTest
    @CsvSource({"16,16,1", "8,8,0.29", "4,4,0.15", "16,4,0.58", "4,16,0.59"})
    void takesTheMemoryThatThePlanPromises(int keys, int values, double share) throws IOException {
        TinyModel model = TinyModel.small().heads(4, 2, 64).positions(2048);
        try (Decoder decoder = open(model, keys, values)) {
            for (int capacity : new int[] {1, 31, 256, 257, 1000, 2048}) {
                try (var scope = TensorScope.open()) {
                    assertThat(decoder.newCache(1, capacity, scope).bytes())
                            .isEqualTo(decoder.spec().cacheBytes(capacity));
                    assertThat(decoder.newCache(3, capacity, scope).bytes())
                            .isEqualTo(3 * decoder.spec().cacheBytes(capacity));
                }
            }
            long floats = 2L * 2 * 2 * 64 * Float.BYTES; // k and v, layers, heads, width
            assertThat(decoder.spec().cacheBytesPerToken())
                    .isBetween((long) (0.9 * share * floats), (long) (share * floats));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "'{\"format\": \"lithe.kv/v1\", \"keys\": 5, \"values\": 8}', keys in 5 bits",
        "'{\"format\": \"lithe.kv/v1\", \"keys\": 8, \"values\": 1000000}', values in 1000000",
        "'{\"format\": \"lithe.kv/v1\", \"keys\": 8}', values is missing",
        "'{\"format\": \"lithe.kv/v1\", \"keys\": \"8\", \"values\": 8}', keys is \"8\"",
        "'{\"format\": \"lithe.kv/v1\", \"keys\": 8.5, \"values\": 8}', keys is 8.5",
        "'{\"format\": \"lithe.kv/v9\", \"keys\": 8, \"values\": 8}', format 'lithe.kv/v9'",
        "'{\"keys\": 8, \"values\": 8}', format 'none'",
        "'[8, 8]', must be an object",
        "'8', must be an object"
    })
    void refusesWhatNoCacheCanBe(String description, String reason) throws IOException {
        ObjectNode config = TinyModel.small().config();
        config.set(
                "lithe_kv_cache",
                new com.fasterxml.jackson.databind.ObjectMapper().readTree(description));
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .isInstanceOf(dev.lithe.fault.LitheException.class)
                .hasMessageContaining("config.json: lithe_kv_cache")
                .hasMessageContaining(reason)
                .hasMessageNotContaining("\n");
    }

    @Test
    void refusesToTurnHeadsOfAnyWidth() {
        ObjectNode config = TinyModel.small().heads(1, 1, 1 << 20).config();
        new KvCacheForm(4, 4).describe(config);
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining("too wide for keys in 4 bits");
    }

    private Decoder open(TinyModel model, int keys, int values) throws IOException {
        ObjectNode config = config(model, keys, values);
        return Decoder.open(model.write(folder.resolve("few"), config, model.tensors()));
    }

    private static ObjectNode config(TinyModel model, int keys, int values) {
        ObjectNode config = model.config();
        new KvCacheForm(keys, values).describe(config);
        return config;
    }

    private static float[] run(
            Decoder decoder, Value ids, int position, KvCache cache, TensorScope scope) {
        return decoder.forward(ids, position, cache, true, scope).floats();
    }

    /// Logits of all positions, the tokens fed in pieces that end at `ends`.
    private static double[][] logits(Decoder decoder, int[] ids, int... ends) {
        double[][] result = new double[ids.length][VOCAB];
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, ids.length + 3, scope);
            int first = 0;
            for (int end : ends) {
                long[] piece = longs(Arrays.copyOfRange(ids, first, end));
                try (var step = TensorScope.open()) {
                    Value input = step.tensor(piece, 1, piece.length);
                    float[] logits = run(decoder, input, first, cache, step);
                    for (int i = 0; i < logits.length; i++) {
                        result[first + i / VOCAB][i % VOCAB] = logits[i];
                    }
                }
                first = end;
            }
        }
        return result;
    }

    private static long[] longs(int[] ids) {
        return Arrays.stream(ids).asLongStream().toArray();
    }

    /// Root of the mean square of the differences.
    private static double distance(double[][] a, double[][] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            for (int j = 0; j < a[i].length; j++) {
                sum += (a[i][j] - b[i][j]) * (a[i][j] - b[i][j]);
            }
        }
        return Math.sqrt(sum / a.length / a[0].length);
    }

    private static double[] keptKeys(double[] x, int bits) {
        return bits == 4 ? turn(kept(turn(x), bits)) : kept(x, bits);
    }

    /// x H: Walsh-Hadamard sums and differences, which are their own inverse.
    private static double[] turn(double[] x) {
        int block = Integer.lowestOneBit(x.length);
        double[] y = x.clone();
        for (int step = 1; step < block; step *= 2) {
            for (int i = 0; i < y.length; i++) {
                if ((i & step) == 0) {
                    double a = y[i];
                    y[i] = (a + y[i + step]) / Math.sqrt(2);
                    y[i + step] = (a - y[i + step]) / Math.sqrt(2);
                }
            }
        }
        return y;
    }

    private static double[] kept(double[] x, int bits) {
        if (bits == 16) {
            return x;
        }
        double m = stored(Arrays.stream(x).min().orElseThrow(), bits);
        double s = stored((Arrays.stream(x).max().orElseThrow() - m) / ((1 << bits) - 1), bits);
        return Arrays.stream(x)
                .map(each -> Math.clamp(Math.rint((each - m) / s), 0, (1 << bits) - 1) * s + m)
                .toArray();
    }

    private static double stored(double x, int bits) {
        return bits == 8 ? (float) x : Float.float16ToFloat(Float.floatToFloat16((float) x));
    }
}
