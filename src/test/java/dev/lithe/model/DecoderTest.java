package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import dev.lithe.Resident;
import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
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
import org.junit.jupiter.params.provider.MethodSource;

/// The forward pass against [NaiveLlama], for shapes that real models have and for ways of feeding
/// the tokens.
class DecoderTest {
    private static final double TOLERANCE = 1e-4;
    private static final int VOCAB = 300;
    private static final int LENGTH = 23;

    @TempDir private Path folder;

    static Stream<Arguments> models() {
        TinyModel odd = TinyModel.small().width(60, 172).heads(5, 5, 12).layers(3).seed(2);
        return Stream.of(
                argumentSet("grouped queries", TinyModel.small()),
                argumentSet("one key-value head", TinyModel.small().heads(4, 1, 8).seed(9)),
                argumentSet("odd sizes", odd),
                argumentSet("odd vocabulary", TinyModel.small().vocab(VOCAB + 1).seed(3)),
                argumentSet("biases", TinyModel.small().biases().seed(4)),
                argumentSet("tied", TinyModel.small().tied().seed(5)),
                argumentSet("wide heads", TinyModel.small().heads(6, 3, 10).seed(6)),
                argumentSet("float16", TinyModel.small().dtype(DType.F16).biases().seed(7)),
                argumentSet("bfloat16, tied", TinyModel.small().dtype(DType.BF16).tied()),
                argumentSet("stretched rotary", TinyModel.small().llama3Rope().heads(4, 2, 16)),
                argumentSet("sharded", TinyModel.small().shards(3).seed(8)));
    }

    @ParameterizedTest
    @MethodSource("models")
    void agreesWithTheNaivePass(TinyModel model) throws IOException {
        var naive = new NaiveLlama(model.config(), model.tensors());
        int[] ids = new Random(11).ints(LENGTH, 0, VOCAB).toArray();
        double[][] expected = naive.logits(ids);
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            prefill(decoder, ids, expected);
            chunks(decoder, ids, expected, 1, 2, 7, LENGTH);
            chunks(decoder, ids, expected, 9, 10, 20, LENGTH);
            int[] everyToken = new int[LENGTH];
            Arrays.setAll(everyToken, t -> t + 1);
            chunks(decoder, ids, expected, everyToken);
            batch(decoder, naive);
        }
    }

    /// Whoever asks: the kernels read and write where they are told to.
    @Test
    void nothingOutsideTheVocabularyOrTheCacheIsTouched() throws IOException {
        try (Decoder decoder = Decoder.open(TinyModel.small().write(folder));
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, LENGTH, scope);
            for (int id : new int[] {-1, VOCAB, Integer.MAX_VALUE}) {
                Value outside = ids(scope, 1, id);
                assertThatThrownBy(() -> decoder.forward(outside, 0, cache, false, scope))
                        .isInstanceOf(LitheException.class);
            }
            Value two = ids(scope, 1, 2);
            assertThatThrownBy(() -> decoder.forward(two, LENGTH - 1, cache, false, scope))
                    .isInstanceOf(LitheException.class);
        }
    }

    private static void prefill(Decoder decoder, int[] ids, double[][] expected) {
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, LENGTH, scope);
            float[] all = decoder.forward(ids(scope, ids), 0, cache, true, scope).floats();
            for (int t = 0; t < LENGTH; t++) {
                close(row(all, t, expected[t].length), expected[t], "prefill, position " + t);
            }
            Value last = decoder.forward(ids(scope, ids), 0, cache, false, scope);
            assertThat(last.shape()).containsExactly(1, 1, expected[0].length);
            close(last.floats(), expected[LENGTH - 1], "prefill, last position only");
        }
    }

    /// Feeds the tokens in pieces that end at `ends`.
    private static void chunks(Decoder decoder, int[] ids, double[][] expected, int... ends) {
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, ids.length + 5, scope);
            int first = 0;
            for (int end : ends) {
                Value chunk = ids(scope, Arrays.copyOfRange(ids, first, end));
                float[] logits = decoder.forward(chunk, first, cache, true, scope).floats();
                for (int t = first; t < end; t++) {
                    close(
                            row(logits, t - first, expected[t].length),
                            expected[t],
                            "chunk from " + first + ", position " + t);
                }
                first = end;
            }
        }
    }

    /// Three sequences: six tokens at once, then one by one.
    private static void batch(Decoder decoder, NaiveLlama naive) {
        int prompt = 6;
        int length = 9;
        int[] ids = new Random(12).ints(3 * length, 0, VOCAB).toArray();
        double[][][] expected = new double[3][][];
        for (int b = 0; b < 3; b++) {
            expected[b] = naive.logits(Arrays.copyOfRange(ids, b * length, (b + 1) * length));
        }
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(3, length, scope);
            for (int first = 0; first < length; first = first == 0 ? prompt : first + 1) {
                int count = first == 0 ? prompt : 1;
                long[] step = new long[3 * count];
                for (int i = 0; i < step.length; i++) {
                    step[i] = ids[i / count * length + first + i % count];
                }
                Value input = scope.tensor(step, 3, count);
                float[] logits = decoder.forward(input, first, cache, true, scope).floats();
                for (int i = 0; i < step.length; i++) {
                    double[] wanted = expected[i / count][first + i % count];
                    close(
                            row(logits, i, wanted.length),
                            wanted,
                            "batch, sequence %d, position %d"
                                    .formatted(i / count, first + i % count));
                }
            }
        }
    }

    @Test
    void positionsAgreePastTheFirstRotaryTables() throws IOException {
        TinyModel model = TinyModel.small().layers(1).positions(10_000_000);
        int[] ids = new Random(13).ints(1060, 0, VOCAB).toArray();
        double[][] expected = new NaiveLlama(model.config(), model.tensors()).logits(ids);
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            chunks(decoder, Arrays.copyOf(ids, LENGTH), expected, LENGTH);
            chunks(decoder, ids, expected, 1000, 1059, 1060);
        }
    }

    @Test
    void opensAContextOfTenMillionPositionsWithoutPayingForIt() throws IOException {
        TinyModel.small().positions(10_000_000).write(folder);
        long before = Resident.bytes();
        try (Decoder decoder = Decoder.open(folder)) {
            assertThat(decoder.spec().maxPositions()).isEqualTo(10_000_000);
            assertThat(Resident.bytes() - before).isLessThan(64L << 20);
        }
    }

    @Test
    void stepsAndModelsComeAndGoWithoutATrace() throws IOException {
        TinyModel.small().vocab(20_000).write(folder);
        long before = 0;
        for (int round = 0; round < 12; round++) {
            if (round == 3) {
                before = Resident.bytes();
            }
            try (Decoder decoder = Decoder.open(folder);
                    var scope = TensorScope.open()) {
                KvCache cache = decoder.newCache(4, 32, scope);
                for (int position = 0; position < 32; position++) {
                    try (var step = TensorScope.open()) {
                        Value input = step.tensor(new long[4], 4, 1);
                        decoder.forward(input, position, cache, false, step);
                    }
                }
            }
        }
        // 9 models of 5 MB, and 288 steps whose logits are 320 kB
        assertThat(Resident.bytes() - before).isLessThan(32L << 20);
    }

    private static Value ids(TensorScope scope, int... ids) {
        return scope.tensor(Arrays.stream(ids).asLongStream().toArray(), 1, ids.length);
    }

    private static float[] row(float[] logits, int row, int width) {
        return Arrays.copyOfRange(logits, row * width, (row + 1) * width);
    }

    private static void close(float[] actual, double[] expected, String what) {
        assertThat(actual).as(what).hasSize(expected.length);
        double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
        for (int i = 0; i < expected.length; i++) {
            if (!(Math.abs(actual[i] - expected[i]) <= TOLERANCE * largest)) {
                throw new AssertionError(
                        "%s: logit %d is %s, expected %s"
                                .formatted(what, i, actual[i], expected[i]));
            }
        }
    }
}
