package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Models that keep those tokens that have got the most attention besides sinks and a window.
class HeavyHittersTest {
    private static final int VOCAB = 300;

    @TempDir private Path folder;

    private static int[] text(int length, long seed) {
        return new Random(seed).ints(length, 0, VOCAB).toArray();
    }

    private static double[][] naive(TinyModel model, int... ids) {
        return new NaiveDecoder(model.config(), model.tensors()).logits(ids);
    }

    static Stream<TinyModel> models() {
        return Stream.of(
                TinyModel.small().sinks(1, 8).heavy(2, 19),
                TinyModel.small().heads(4, 4, 8).sinks(0, 8).heavy(1, 9),
                TinyModel.small().heads(6, 2, 10).biases().sinks(2, 8).heavy(3, 20).llama3Rope(),
                TinyModel.of("mistral").window(7).sinks(2, 8).heavy(3, 22),
                TinyModel.of("mistral").window(12).sinks(1, 8).heavy(4, 128),
                TinyModel.of("qwen3").window(4).sinks(1, 8).heavy(2, 13),
                TinyModel.of("phi3").window(100).sinks(2, 8).heavy(2, 20),
                TinyModel.of("gemma2").window(10).sinks(2, 8).heavy(2, 21),
                TinyModel.of("gemma3_text").layers(3).window(5).sinks(1, 8).heavy(4, 22));
    }

    @ParameterizedTest
    @MethodSource("models")
    void computesWhatTheNaivePassDoes(TinyModel model) throws IOException {
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            AgainstNaive.check(decoder, model);
        }
    }

    /// Rows are freed twenty times and more, in pieces of all kinds and in single tokens.
    @ParameterizedTest
    @CsvSource({
        "llama, 4, 20, 40, 64",
        "llama, 4, 8, 20, 100",
        "gemma3_text, 2, 30, 17, 71",
        "mistral, 3, 1, 50, 128"
    })
    void goesOnInTheSameRows(String type, int sinks, int heavy, int window, int context)
            throws IOException {
        TinyModel model = TinyModel.of(type).window(25).sinks(sinks, window).heavy(heavy, context);
        int[] ids = text(450, 7);
        double[][] expected = naive(model, ids);
        int[] ends = {1, 30, 31, 49, 64, 65, 79, 80, 81, 330, 331, 347, 450};
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            assertThat(decoder.spec().cacheRows(1300)).isEqualTo(sinks + heavy + window);
            AgainstNaive.chunks(decoder, ids, expected, 450);
            AgainstNaive.chunks(decoder, ids, expected, ends);
            AgainstNaive.chunks(decoder, ids, expected, IntStream.rangeClosed(1, 450).toArray());
        }
    }

    /// What is kept is chosen: sinks and as long a window compute something else, and so would
    /// another choice.
    @Test
    void whatIsKeptMatters() {
        TinyModel model = TinyModel.small().sinks(4, 20).heavy(8, 50);
        int[] ids = text(60, 3);
        double[] some = naive(model, ids)[59];
        double[] longer = naive(TinyModel.small().sinks(4, 28), ids)[59];
        double[] all = naive(TinyModel.small(), ids)[59];
        assertThat(difference(some, longer)).isGreaterThan(1e-2);
        assertThat(difference(some, all)).isGreaterThan(1e-2);
    }

    private static double difference(double[] a, double[] b) {
        return IntStream.range(0, a.length).mapToDouble(i -> Math.abs(a[i] - b[i])).max().orElse(0);
    }

    @Test
    void aTextThatFitsComputesNothingElse() throws IOException {
        int[] ids = text(40, 5);
        TinyModel model = TinyModel.of("mistral").window(11).sinks(4, 26).heavy(10, 40);
        double[][] plain = naive(TinyModel.of("mistral").window(11), ids);
        try (Decoder decoder = Decoder.open(model.write(folder))) {
            AgainstNaive.chunks(decoder, ids, plain, 13, 14, 40);
        }
    }

    private static float[] read(Decoder decoder, KvCache cache, int... ids) {
        try (var scope = TensorScope.open();
                var batch = new KvBatch(List.of(cache))) {
            return decoder.extend(new int[][] {ids}, batch, true, scope).floats();
        }
    }

    private static KvCache cache(Decoder decoder, TensorScope scope) {
        return decoder.newCache(1, decoder.spec().cacheRows(1 << 20), scope);
    }

    /// Sequences at different positions, of which some free rows, together and each alone.
    @Test
    void aBatchIsItsMembers() throws IOException {
        TinyModel.small().sinks(3, 30).heavy(9, 60).write(folder);
        int[] lengths = {1, 40, 200, 41, 58};
        int[][] pieces = {{1, 2, 3}, {4}, text(70, 1), {10, 11}, {12}};
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            List<KvCache> together = new ArrayList<>();
            List<KvCache> alone = new ArrayList<>();
            for (int length : lengths) {
                for (List<KvCache> each : List.of(together, alone)) {
                    KvCache cache = cache(decoder, scope);
                    read(decoder, cache, text(length, length));
                    each.add(cache);
                }
            }
            try (var batch = new KvBatch(together)) {
                float[] all = decoder.extend(pieces, batch, true, scope).floats();
                float[] next;
                try (ForwardPass pass = decoder.begin(pieces, batch)) {
                    pass.advance(1);
                    pass.advance(1);
                    next = pass.logits(scope).floats();
                }
                int row = 0;
                for (int i = 0; i < pieces.length; i++) {
                    float[] expected = read(decoder, alone.get(i), pieces[i]);
                    int end = row + pieces[i].length;
                    assertThat(Arrays.copyOfRange(all, row * VOCAB, end * VOCAB))
                            .as("%d", i)
                            .containsExactly(expected, within(1e-4f));
                    row = end;
                    float[] later = read(decoder, alone.get(i), pieces[i]);
                    assertThat(Arrays.copyOfRange(next, i * VOCAB, (i + 1) * VOCAB))
                            .as("%d", i)
                            .containsExactly(
                                    Arrays.copyOfRange(later, later.length - VOCAB, later.length),
                                    within(1e-4f));
                }
            }
        }
    }

    /// Sequences of one cache keep tokens of their own.
    @Test
    void sequencesOfOneCacheDoNotMeet() throws IOException {
        TinyModel model = TinyModel.small().sinks(2, 20).heavy(6, 40);
        int length = 90;
        try (Decoder decoder = Decoder.open(model.write(folder));
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(3, length, scope);
            int[] ids = text(3 * length, 2);
            long[] elements = Arrays.stream(ids).asLongStream().toArray();
            var input = scope.tensor(elements, 3, length);
            float[] all = decoder.forward(input, 0, cache, true, scope).floats();
            for (int i = 0; i < 3; i++) {
                double[][] expected =
                        naive(model, Arrays.copyOfRange(ids, i * length, (i + 1) * length));
                for (int j = 0; j < length * VOCAB; j++) {
                    assertThat((double) all[i * length * VOCAB + j])
                            .isCloseTo(expected[j / VOCAB][j % VOCAB], within(1e-4));
                }
            }
        }
    }

    @Test
    void goesOnOrBeginsAnew() throws IOException {
        TinyModel.small().sinks(2, 30).heavy(8, 50).write(folder);
        int[] ids = text(120, 9);
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            for (int length : new int[] {25, 40, 41, 100}) {
                KvCache cache = cache(decoder, scope);
                read(decoder, cache, Arrays.copyOf(ids, length));
                KvCache copy = cache(decoder, scope);
                decoder.copy(cache, length, copy);
                assertThatThrownBy(() -> decoder.copy(cache, length - 1, copy))
                        .hasMessageContaining("cannot be copied");
                assertThatThrownBy(() -> cache.rewind(length - 1))
                        .hasMessageContaining("too long ago");
                cache.rewind(length);
                int[] rest = Arrays.copyOfRange(ids, length, 120);
                float[] expected = read(decoder, cache, rest);
                assertThat(read(decoder, copy, rest)).containsExactly(expected, within(1e-5f));
                cache.rewind(0);
                read(decoder, cache, Arrays.copyOf(ids, length));
                assertThat(read(decoder, cache, rest)).containsExactly(expected, within(1e-5f));
            }
        }
    }

    /// A pass that ended in the middle has changed some blocks and not others.
    @Test
    void doesNotGoOnBehindAPassThatDidNotEnd() throws IOException {
        TinyModel.small().sinks(2, 30).heavy(8, 50).write(folder);
        int[] ids = text(60, 4);
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            KvCache cache = cache(decoder, scope);
            float[] expected = read(decoder, cache, ids);
            try (var batch = new KvBatch(List.of(cache))) {
                try (ForwardPass pass = decoder.begin(new int[][] {{1, 2}}, batch)) {
                    pass.advance(1);
                }
                assertThat(cache.holds(60)).isFalse();
                assertThatThrownBy(() -> decoder.begin(new int[][] {{1, 2}}, batch))
                        .isInstanceOf(LitheException.class)
                        .hasMessageContaining("2 tokens at position 60")
                        .hasMessageContaining("a pass did not end");
            }
            cache.rewind(0);
            assertThat(read(decoder, cache, ids)).containsExactly(expected, within(1e-5f));
        }
    }

    @Test
    void calibratesOnTheSameNumbers() throws IOException {
        TinyModel model = TinyModel.of("gemma2").window(25).sinks(2, 18).heavy(8, 40);
        AgainstNaive.calibrates(model, folder, text(70, 0), text(70, 1));
    }

    @Test
    void memoryDoesNotGrow() throws IOException {
        TinyModel model = TinyModel.small().sinks(4, 100).heavy(20, 128);
        var spec = ModelSpec.of(model.config(), "config.json");
        assertThat(spec.cacheRows(90)).isEqualTo(90);
        assertThat(spec.cacheRows(1000)).isEqualTo(124);
        assertThat(spec.longestText()).isEqualTo(1 << 28);
        assertThat(spec.seen(5000)).isEqualTo(124);
        assertThat(spec.cacheBytes(1 << 28)).isEqualTo(124 * 2 * 2 * (2 * 8 * 4 + 16));
        try (Decoder decoder = Decoder.open(model.write(folder));
                var scope = TensorScope.open()) {
            assertThat(cache(decoder, scope).bytes()).isEqualTo(spec.cacheBytes(1 << 28));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "4 | 105 | 20 | 128 | 4 sinks, 20 heavy hitters and a window of 105, together more than the"
                        + " context of 128; choose a window of up to 104",
                "4 | 100 | 120 | 128 | choose fewer heavy hitters",
                "4 | 7 | 20 | 64 | 20 heavy hitters and a window of 7, which 8 positions leave at once;"
                        + " choose a window of at least 8",
                "4 | 40 | 20 | 60 | together more than the context of 60",
                "4 | 40 | 20 | 129 | 129 positions, more than the context of 128",
                "4 | 40 | -1 | 0 | heavy is -1"
            })
    void refusesWhatNoModelCanHave(int sinks, int window, int heavy, int context, String reason) {
        assertThatThrownBy(() ->
                        ModelSpec.of(
                                TinyModel.small()
                                        .sinks(sinks, window)
                                        .heavy(heavy, context)
                                        .config(),
                                "here"))
                .hasMessageStartingWith("here: lithe_sparse_attention")
                .hasMessageContaining(reason);
    }

    @Test
    void doesNotGoWithFewerBits() {
        ObjectNode config = TinyModel.small().sinks(4, 40).heavy(20, 128).config();
        new KvCacheForm(8, 8).describe(config);
        assertThatThrownBy(() -> ModelSpec.of(config, "here"))
                .hasMessage(
                        "here: keys and values in int8 cannot be moved without loss, and 20 heavy"
                                + " hitters are; leave out kv_cache, or heavy of sparse_attention");
    }
}
