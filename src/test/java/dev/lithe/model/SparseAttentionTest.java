package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Models whose tokens see sinks and a window, by libtorch and by the native kernels, in caches
/// with a row for every position and in such whose rows are used again.
class SparseAttentionTest {
    private static final int VOCAB = 300;
    private static final long SEED = 7;

    @TempDir private Path folder;

    static Stream<TinyModel> models() {
        return Stream.of(
                TinyModel.small().sinks(2, 5),
                TinyModel.small().sinks(0, 6),
                TinyModel.small().sinks(4, 1),
                TinyModel.small().sinks(30, 20),
                TinyModel.small().heads(6, 2, 10).biases().sinks(3, 8).llama3Rope(),
                TinyModel.of("mistral").window(7).sinks(2, 5),
                TinyModel.of("mistral").window(7).sinks(2, 9),
                TinyModel.of("qwen3").window(4).sinks(1, 6),
                TinyModel.of("phi3").window(16).sinks(2, 6),
                TinyModel.of("gemma2").window(4).sinks(2, 8),
                TinyModel.of("gemma3_text").layers(3).window(5).sinks(3, 7));
    }

    private static int[] text(int length) {
        return new Random(SEED).ints(length, 0, VOCAB).toArray();
    }

    @ParameterizedTest
    @MethodSource("models")
    void computesWhatTheNaivePassDoes(TinyModel model) throws IOException {
        model.write(folder);
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine)) {
                AgainstNaive.check(decoder, model);
            }
        }
    }

    /// Rows are used again twice and more, in pieces that wrap and in single tokens.
    @ParameterizedTest
    @CsvSource({"llama, 4, 60", "llama, 131, 90", "gemma3_text, 2, 120", "mistral, 3, 40"})
    void goesOnInTheSameRows(String type, int sinks, int window) throws IOException {
        TinyModel model = TinyModel.of(type).positions(256).window(30).sinks(sinks, window);
        model.write(folder);
        int[] ids = text(1300);
        double[][] expected = new NaiveDecoder(model.config(), model.tensors()).logits(ids);
        int[] ends = {1, 200, 201, 450, 460, 700, 956, 1000, 1200, 1300};
        int[] singly =
                IntStream.concat(IntStream.of(250, 500, 750), IntStream.rangeClosed(751, 1300))
                        .toArray();
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine)) {
                assertThat(decoder.spec().cacheRows(1300)).isLessThan(650);
                AgainstNaive.chunks(decoder, ids, expected, ends);
                AgainstNaive.chunks(decoder, ids, expected, singly);
            }
        }
    }

    private static float[] read(Decoder decoder, KvCache cache, int... ids) {
        try (var scope = TensorScope.open();
                var batch = new KvBatch(List.of(cache))) {
            return decoder.extend(new int[][] {ids}, batch, true, scope).floats();
        }
    }

    /// The native kernels compute the same bits whatever the rows and whatever is read at once.
    @Test
    void rowsAndPiecesDoNotShowInTheNumbers() throws IOException {
        TinyModel.small().sinks(5, 70).write(folder);
        int[] ids = text(900);
        for (Instructions engine : NativeLibrary.runnable()) {
            try (Decoder decoder = Decoder.open(folder, Optional.of(engine));
                    var scope = TensorScope.open()) {
                KvCache flat = decoder.newCache(1, ids.length, scope);
                KvCache ring = decoder.newCache(1, decoder.spec().cacheRows(ids.length), scope);
                float[] expected = read(decoder, flat, ids);
                for (int first = 0, step = 1;
                        first < ids.length;
                        first += step, step = step % 90 + 1) {
                    int end = Math.min(ids.length, first + step);
                    assertThat(read(decoder, ring, Arrays.copyOfRange(ids, first, end)))
                            .as("%s, %d", engine, first)
                            .isEqualTo(Arrays.copyOfRange(expected, first * VOCAB, end * VOCAB));
                }
                assertThat(ring.recycled()).isTrue();
                assertThat(flat.recycled()).isFalse();
            }
        }
    }

    /// Sequences at different positions, together and each alone.
    @Test
    void aBatchIsItsMembers() throws IOException {
        TinyModel.small().sinks(3, 50).write(folder);
        int[] lengths = {1, 20, 600, 2, 399};
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine);
                    var scope = TensorScope.open()) {
                List<KvCache> together = new ArrayList<>();
                List<KvCache> alone = new ArrayList<>();
                for (int length : lengths) {
                    for (List<KvCache> each : List.of(together, alone)) {
                        KvCache cache = decoder.newCache(1, decoder.spec().cacheRows(1000), scope);
                        for (int at = 0; at < length; at += 200) {
                            read(
                                    decoder,
                                    cache,
                                    Arrays.copyOfRange(text(600), at, Math.min(length, at + 200)));
                        }
                        each.add(cache);
                    }
                }
                int[][] pieces = {{1, 2, 3}, {4}, {5, 6, 7, 8, 9}, {10, 11}, {12}};
                try (var batch = new KvBatch(together)) {
                    float[] all = decoder.extend(pieces, batch, true, scope).floats();
                    int row = 0;
                    for (int i = 0; i < pieces.length; i++) {
                        float[] expected = read(decoder, alone.get(i), pieces[i]);
                        int end = row + pieces[i].length;
                        assertThat(Arrays.copyOfRange(all, row * VOCAB, end * VOCAB))
                                .as("%s, %d", engine, i)
                                .containsExactly(
                                        expected, within(engine.isEmpty() ? 1e-4f : 1e-9f));
                        row = end;
                    }
                    try (ForwardPass pass = decoder.begin(pieces, batch)) {
                        pass.advance(1);
                        pass.advance(1);
                        float[] last = pass.logits(scope).floats();
                        for (int i = 0; i < pieces.length; i++) {
                            float[] expected = read(decoder, alone.get(i), pieces[i]);
                            int from = expected.length - VOCAB;
                            assertThat(Arrays.copyOfRange(last, i * VOCAB, (i + 1) * VOCAB))
                                    .containsExactly(
                                            Arrays.copyOfRange(expected, from, expected.length),
                                            within(engine.isEmpty() ? 1e-4f : 1e-9f));
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"8, 8", "4, 4", "16, 8"})
    void goesWithFewerBits(int keys, int values) throws IOException {
        TinyModel model = TinyModel.small().heads(4, 2, 16).sinks(3, 50);
        ObjectNode config = model.config();
        new KvCacheForm(keys, values).describe(config);
        int[] ids = text(800);
        try (Decoder decoder = Decoder.open(model.write(folder, config, model.tensors()));
                var scope = TensorScope.open()) {
            KvCache flat = decoder.newCache(1, ids.length, scope);
            KvCache ring = decoder.newCache(1, decoder.spec().cacheRows(ids.length), scope);
            assertThat(ring.bytes()).isEqualTo(decoder.spec().cacheBytes(ids.length));
            for (int first = 0, step = 1; first < ids.length; first += step, step = step * 3 % 97) {
                int[] piece = Arrays.copyOfRange(ids, first, Math.min(ids.length, first + step));
                assertThat(read(decoder, ring, piece))
                        .as("from %d", first)
                        .containsExactly(
                                read(decoder, flat, piece),
                                within(0.1f)); // a code may round the other way
            }
        }
    }

    @Test
    void aFewTokensCanBeTakenBack() throws IOException {
        TinyModel.small().sinks(2, 40).write(folder);
        int[] ids = text(1000);
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine);
                    var scope = TensorScope.open()) {
                int rows = decoder.spec().cacheRows(5000);
                KvCache straight = decoder.newCache(1, rows, scope);
                KvCache wandering = decoder.newCache(1, rows, scope);
                for (int at = 0; at < 1000; at += 10) {
                    int[] piece = Arrays.copyOfRange(ids, at, at + 10);
                    read(decoder, wandering, new int[17]);
                    wandering.rewind(at);
                    assertThat(read(decoder, wandering, piece))
                            .containsExactly(read(decoder, straight, piece), within(1e-4f));
                }
                assertThatThrownBy(() -> wandering.rewind(500))
                        .hasMessageContaining("too long ago");
                assertThat(wandering.position()).isEqualTo(1000);
                assertThat(wandering.holds(500)).isFalse();
                assertThat(wandering.holds(900)).isTrue();
                assertThat(wandering.holds(2)).isTrue();
                KvCache copy = decoder.newCache(1, rows, scope);
                decoder.copy(wandering, 990, copy);
                KvCache small = decoder.newCache(1, rows - 128, scope);
                assertThatThrownBy(() -> decoder.copy(wandering, 990, small))
                        .hasMessageContaining("cannot be copied");
                straight.rewind(990);
                assertThat(read(decoder, copy, 1, 2, 3))
                        .containsExactly(read(decoder, straight, 1, 2, 3), within(1e-4f));
                wandering.rewind(0);
                assertThatThrownBy(() -> read(decoder, wandering, new int[rows + 1]))
                        .hasMessageContaining("tokens at position 0 of a cache of " + rows);
            }
        }
    }

    @Test
    void calibratesOnTheSameNumbers() throws IOException {
        TinyModel model = TinyModel.of("gemma2").window(5).sinks(2, 8);
        AgainstNaive.calibrates(model, folder, text(24), Arrays.copyOfRange(text(48), 24, 48));
    }

    @Test
    void memoryDoesNotGrow() {
        var spec = ModelSpec.of(TinyModel.small().sinks(4, 100).config(), "config.json");
        assertThat(spec.cacheRows(90)).isEqualTo(90);
        assertThat(spec.cacheRows(1000)).isEqualTo(4 + 384);
        assertThat(spec.cacheBytes(1 << 28)).isEqualTo(spec.cacheBytes(388));
        assertThat(spec.longestText()).isEqualTo(1 << 28);
        assertThat(spec.seen(50)).isEqualTo(50);
        assertThat(spec.seen(5000)).isEqualTo(104);
        var whole = ModelSpec.of(TinyModel.small().config(), "config.json");
        assertThat(whole.longestText()).isEqualTo(whole.maxPositions());
        assertThat(whole.cacheRows(1000)).isEqualTo(1000);
    }

    @Test
    void refusesWhatNoModelCanHave() {
        assertThatThrownBy(() -> ModelSpec.of(TinyModel.small().sinks(4, 125).config(), "here"))
                .hasMessage(
                        "here: lithe_sparse_attention has 4 sinks and a window of 125, together more"
                                + " than the context of 128; choose a"
                                + " window of up to 124");
        ObjectNode config = TinyModel.small().sinks(4, 60).config();
        config.withObject("/lithe_sparse_attention").put("sinks", -1);
        assertThatThrownBy(() -> ModelSpec.of(config, "here")).hasMessageContaining("sinks is -1");
        config.withObject("/lithe_sparse_attention").put("sinks", 1).put("format", "other");
        assertThatThrownBy(() -> ModelSpec.of(config, "here"))
                .hasMessageContaining("this Lithe knows lithe.sparse_attention/v1");
    }
}
