package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Models whose queries choose pages, by libtorch and by the native kernels, read in one piece, in
/// some, and a token at a time.
class PageAttentionTest {
    private static final int VOCAB = 300;
    private static final long SEED = 7;

    @TempDir private Path folder;

    static Stream<TinyModel> models() {
        return Stream.of(
                TinyModel.small().pages(4, 2, 0),
                TinyModel.small().pages(3, 1, 1),
                TinyModel.small().pages(1, 5, 0),
                TinyModel.small().pages(2, 100, 0),
                TinyModel.small().heads(6, 2, 10).biases().pages(3, 2, 0).llama3Rope(),
                TinyModel.of("qwen3").pages(4, 1, 0),
                TinyModel.of("gemma2").layers(3).window(4).pages(4, 2, 0),
                TinyModel.of("gemma3_text").layers(3).window(5).pages(2, 3, 0));
    }

    /// Long texts: pages longer than what the kernels see at once, many pages, and pages of which a
    /// heap of several levels is chosen.
    static Stream<TinyModel> longModels() {
        return Stream.of(
                TinyModel.small().heads(4, 2, 16).positions(800).pages(16, 3, 0),
                TinyModel.small().heads(4, 1, 20).positions(800).pages(5, 19, 1),
                TinyModel.small().positions(800).pages(130, 2, 0),
                TinyModel.of("gemma2").layers(3).window(30).positions(800).pages(16, 4, 1));
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

    @ParameterizedTest
    @MethodSource("longModels")
    void computesTheSameInALongContext(TinyModel model) throws IOException {
        model.write(folder);
        int[] ids = text(601);
        double[][] expected = new NaiveDecoder(model.config(), model.tensors()).logits(ids);
        int[] pieces = {1, 100, 101, 131, 400, 580, 601};
        int[] singly =
                IntStream.concat(IntStream.of(250, 500), IntStream.rangeClosed(501, 601)).toArray();
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine)) {
                AgainstNaive.chunks(decoder, ids, expected, pieces);
                AgainstNaive.chunks(decoder, ids, expected, singly);
                AgainstNaive.chunks(decoder, ids, expected, ids.length);
            }
        }
    }

    private static float[] read(Decoder decoder, KvCache cache, int... ids) {
        try (var scope = TensorScope.open();
                var batch = new KvBatch(List.of(cache))) {
            return decoder.extend(new int[][] {ids}, batch, true, scope).floats();
        }
    }

    /// The native kernels compute the same bits whatever is read at once.
    @Test
    void piecesDoNotShowInTheNumbers() throws IOException {
        TinyModel.small().positions(700).pages(8, 4, 0).write(folder);
        int[] ids = text(600);
        for (Instructions engine : NativeLibrary.runnable()) {
            try (Decoder decoder = Decoder.open(folder, Optional.of(engine));
                    var scope = TensorScope.open()) {
                float[] expected = read(decoder, decoder.newCache(1, ids.length, scope), ids);
                KvCache cache = decoder.newCache(1, 700, scope);
                for (int first = 0, step = 1;
                        first < ids.length;
                        first += step, step = step % 90 + 1) {
                    int end = Math.min(ids.length, first + step);
                    assertThat(read(decoder, cache, Arrays.copyOfRange(ids, first, end)))
                            .as("%s, %d", engine, first)
                            .isEqualTo(Arrays.copyOfRange(expected, first * VOCAB, end * VOCAB));
                }
            }
        }
    }

    /// A text that its pages hold computes what a model without them does, and a longer one not.
    @Test
    void shortTextsSeeEverything() throws IOException {
        TinyModel.small().pages(4, 2, 0).write(folder.resolve("pages"));
        TinyModel.small().write(folder.resolve("all"));
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder some = Decoder.open(folder.resolve("pages"), engine);
                    Decoder all = Decoder.open(folder.resolve("all"), engine);
                    var scope = TensorScope.open()) {
                float[] seen = read(all, all.newCache(1, 13, scope), text(13));
                float[] chosen = read(some, some.newCache(1, 13, scope), text(13));
                assertThat(Arrays.copyOf(chosen, 12 * VOCAB))
                        .containsExactly(Arrays.copyOf(seen, 12 * VOCAB), within(1e-5f));
                assertThat(Arrays.copyOfRange(chosen, 12 * VOCAB, 13 * VOCAB))
                        .isNotEqualTo(Arrays.copyOfRange(seen, 12 * VOCAB, 13 * VOCAB));
            }
        }
    }

    /// Sequences at different positions, together and each alone; and a pass some blocks at a time.
    @Test
    void aBatchIsItsMembers() throws IOException {
        TinyModel.small().heads(4, 2, 16).positions(700).pages(8, 3, 0).write(folder);
        int[] lengths = {1, 20, 500, 2, 398};
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine);
                    var scope = TensorScope.open()) {
                List<KvCache> together = new ArrayList<>();
                List<KvCache> alone = new ArrayList<>();
                for (int length : lengths) {
                    for (List<KvCache> each : List.of(together, alone)) {
                        KvCache cache = decoder.newCache(1, length + 20, scope);
                        float[] _ = read(decoder, cache, text(length));
                        each.add(cache);
                    }
                }
                int[][] pieces = {{1, 2, 3}, {4}, {5, 6, 7, 8, 9}, {10, 11}, {12}};
                float off = engine.isEmpty() ? 1e-4f : 1e-9f;
                try (var batch = new KvBatch(together)) {
                    float[] all = decoder.extend(pieces, batch, true, scope).floats();
                    int row = 0;
                    for (int i = 0; i < pieces.length; i++) {
                        float[] expected = read(decoder, alone.get(i), pieces[i]);
                        int end = row + pieces[i].length;
                        assertThat(Arrays.copyOfRange(all, row * VOCAB, end * VOCAB))
                                .as("%s, %d", engine, i)
                                .containsExactly(expected, within(off));
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
                                            within(off));
                        }
                    }
                }
            }
        }
    }

    /// Tokens taken back, within a page and across some, leave nothing in the bounds; nor does what
    /// a copy of a beginning lacks.
    @Test
    void textsThatAreCutGoOnAsOthers() throws IOException {
        TinyModel.small().heads(4, 2, 16).positions(700).pages(8, 3, 0).write(folder);
        int[] ids = text(600);
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine);
                    var scope = TensorScope.open()) {
                KvCache straight = decoder.newCache(1, 600, scope);
                KvCache wandering = decoder.newCache(1, 700, scope);
                for (int at = 0; at < 600; at += 50) {
                    int[] piece = Arrays.copyOfRange(ids, at, at + 50);
                    float[] _ = read(decoder, wandering, new int[37]);
                    wandering.rewind(at);
                    assertThat(read(decoder, wandering, piece))
                            .containsExactly(read(decoder, straight, piece), within(1e-4f));
                }
                for (int kept : new int[] {5, 296, 301, 599}) {
                    KvCache copy = decoder.newCache(1, kept + 40, scope);
                    decoder.copy(wandering, kept, copy);
                    straight.rewind(kept);
                    int[] next = Arrays.copyOf(text(40), 600 - kept > 40 ? 40 : 1);
                    assertThat(read(decoder, copy, next))
                            .as("%s, %d", engine, kept)
                            .containsExactly(read(decoder, straight, next), within(1e-4f));
                    straight.rewind(kept);
                    float[] _ = read(decoder, straight, Arrays.copyOfRange(ids, kept, ids.length));
                }
            }
        }
    }

    @Test
    void calibratesOnTheSameNumbers() throws IOException {
        TinyModel model = TinyModel.of("gemma2").layers(3).window(5).pages(4, 2, 0);
        AgainstNaive.calibrates(model, folder, text(24), Arrays.copyOfRange(text(48), 24, 48));
    }

    /// Where all keys are alike, so are all bounds.
    @Test
    void ofEqualsTheEarlierPageIsChosen() throws IOException {
        TinyModel model = TinyModel.small().positions(200).pages(4, 3, 0);
        Map<String, RawTensor> tensors = new TreeMap<>(model.tensors());
        tensors.replaceAll((name, tensor) -> name.contains("k_proj") ? zeros(tensor) : tensor);
        model.write(folder, model.config(), tensors);
        int[] ids = text(150);
        double[][] expected = new NaiveDecoder(model.config(), tensors).logits(ids);
        for (Optional<Instructions> engine : Logits.engines()) {
            try (Decoder decoder = Decoder.open(folder, engine)) {
                AgainstNaive.chunks(decoder, ids, expected, 70, 149, 150);
            }
        }
    }

    private static RawTensor zeros(RawTensor tensor) {
        return new RawTensor(tensor.dtype(), tensor.shape(), new byte[tensor.bytes().length]);
    }

    @Test
    void memoryHasRoomForTheBounds() throws IOException {
        TinyModel model = TinyModel.small().heads(4, 2, 16).positions(700).pages(8, 3, 0);
        try (Decoder decoder = Decoder.open(model.write(folder));
                var scope = TensorScope.open()) {
            for (int rows : new int[] {1, 7, 8, 128, 129, 600}) {
                long pages = (rows / 8 + 15) / 16 * 16;
                assertThat(decoder.newCache(1, rows, scope).bytes())
                        .isEqualTo(decoder.spec().cacheBytes(rows))
                        .isEqualTo(2L * 2 * 16 * Float.BYTES * 2 * (rows + pages));
            }
            assertThat(decoder.spec().longestText()).isEqualTo(700);
        }
    }

    @Test
    void refusesWhatNoModelCanHave() {
        assertThatThrownBy(() -> ModelSpec.of(TinyModel.small().pages(4, 2000, 0).config(), "here"))
                .hasMessage(
                        "here: lithe_page_attention has 2000 pages; a query can choose up to 1024, so"
                                + " make each page longer than 4 tokens, or choose fewer");
        assertThatThrownBy(() ->
                        ModelSpec.of(TinyModel.small().pages(4, 2, 0).sinks(2, 9).config(), "here"))
                .hasMessage(
                        "here: page_attention chooses among all that sparse_attention forgets; leave"
                                + " one of them out");
        ObjectNode config = TinyModel.small().pages(4, 2, 0).config();
        new KvCacheForm(8, 8).describe(config);
        assertThatThrownBy(() -> ModelSpec.of(config, "here"))
                .hasMessage(
                        "here: page_attention reads keys and values in float32, and kv_cache keeps"
                                + " them in int8; leave one of them out");
        config.withObject("/lithe_page_attention").put("page", 0);
        assertThatThrownBy(() -> ModelSpec.of(config, "here")).hasMessageContaining("page is 0");
        config.withObject("/lithe_page_attention").put("page", 1).put("dense", -1);
        assertThatThrownBy(() -> ModelSpec.of(config, "here")).hasMessageContaining("dense is -1");
        config.withObject("/lithe_page_attention").put("format", "other");
        assertThatThrownBy(() -> ModelSpec.of(config, "here"))
                .hasMessageContaining("this Lithe knows lithe.page_attention/v1");
    }
}
