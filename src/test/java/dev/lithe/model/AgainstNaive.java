package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/// Holds a decoder against [NaiveDecoder], for ways of feeding the tokens.
final class AgainstNaive {
    private static final double TOLERANCE = 1e-4;
    private static final int VOCAB = 300;
    private static final int LENGTH = 23;

    private AgainstNaive() {}

    /// Fails where a logit of `decoder`, which runs `model`, is off.
    static void check(Decoder decoder, TinyModel model) {
        var naive = Naive.of(model);
        int[] ids = new Random(11).ints(LENGTH, 0, VOCAB).toArray();
        double[][] expected = naive.logits(ids);
        prefill(decoder, ids, expected);
        chunks(decoder, ids, expected, 1, 2, 7, LENGTH);
        chunks(decoder, ids, expected, 9, 10, 20, LENGTH);
        int[] everyToken = new int[LENGTH];
        Arrays.setAll(everyToken, t -> t + 1);
        chunks(decoder, ids, expected, everyToken);
        batch(decoder, naive);
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
    static void chunks(Decoder decoder, int[] ids, double[][] expected, int... ends) {
        try (var scope = TensorScope.open()) {
            int rows = decoder.spec().cacheRows(ids.length + 5);
            KvCache cache = decoder.newCache(1, rows, scope);
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
    private static void batch(Decoder decoder, Naive naive) {
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

    static Value ids(TensorScope scope, int... ids) {
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

    /// Fails where the mean loss of `model` on windows, as calibration sees it, is off.
    ///
    /// @param folder where the model is written
    static void calibrates(TinyModel model, Path folder, int[]... windows) throws IOException {
        long[][] ids =
                Arrays.stream(windows)
                        .map(window -> Arrays.stream(window).asLongStream().toArray())
                        .toArray(long[][]::new);
        calibrates(model, folder, new CalibrationSet(new TextFile("none", "", ""), ids, 5));
    }

    static void calibrates(TinyModel model, Path folder, CalibrationSet set) throws IOException {
        var naive = Naive.of(model);
        double expected = 0;
        int predictions = 0;
        for (long[] window : set.windows()) {
            int[] ids = Arrays.stream(window).mapToInt(Math::toIntExact).toArray();
            double[][] logits = naive.logits(ids);
            for (int t = 0; t + 1 < ids.length; t++) {
                double sum = Arrays.stream(logits[t]).map(Math::exp).sum();
                expected += Math.log(sum) - logits[t][ids[t + 1]];
                predictions++;
            }
        }
        try (Checkpoint checkpoint = Checkpoint.open(model.write(folder));
                var whole = WholeModel.open(checkpoint, set);
                var stack = new BlockStack(whole, set)) {
            assertThat(stack.without(stack.everything()).loss())
                    .isCloseTo(expected / predictions, within(TOLERANCE));
        }
    }
}
