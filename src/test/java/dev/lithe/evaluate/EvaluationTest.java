package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.evaluate.Scores.Divergence;
import dev.lithe.model.Decoder;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Whole evaluations of random models, against logits read one window at a time.
class EvaluationTest {
    private static final int VOCAB = 300;
    private static final int CONTEXT = 16;
    private static final long NO_LIMIT = 1L << 30;

    @TempDir private Path folder;

    private final List<Decoder> decoders = new ArrayList<>();

    @AfterEach
    void closeAll() {
        decoders.forEach(Decoder::close);
    }

    @ParameterizedTest
    @EnumSource(Scoring.class)
    void batchesAndPiecesScoreAsWindowsDoOneByOne(Scoring scoring) throws IOException {
        Subject original = subject("original", TinyModel.small());
        Subject other = subject("other", TinyModel.small().seed(2));
        TokenWindows windows = windows(7, scoring);
        List<Scores> whole =
                Evaluation.run(List.of(original, other), windows, ProgressListener.NONE);
        double[] expected = oneByOne(original.decoder(), windows);
        assertThat(whole.getFirst().loss()).containsExactly(expected, within(1e-3));
        // room for the logits of five tokens only: one window at a time, in pieces
        List<Scores> pieces =
                Evaluation.run(
                        List.of(original, other),
                        windows,
                        ProgressListener.NONE,
                        5 * VOCAB * Float.BYTES);
        assertThat(pieces.getFirst().loss()).containsExactly(expected, within(1e-3));
        Divergence divergence = divergence(whole.get(1));
        assertThat(divergence(pieces.get(1)).kl()).containsExactly(divergence.kl(), within(1e-3));
        assertThat(divergence(pieces.get(1)).sameTop()).isEqualTo(divergence.sameTop());
        assertThat(divergence.tokenKl()).hasSize(windows.scored());
        assertThat(Quality.meanDivergence(divergence)).isPositive();
        assertThat(Quality.divergenceP99(divergence))
                .isGreaterThan(Quality.meanDivergence(divergence));
    }

    @Test
    void aModelDoesNotDifferFromItself() throws IOException {
        TinyModel model = TinyModel.small();
        TokenWindows windows = windows(10, Scoring.ALL);
        List<Scores> scores =
                Evaluation.run(
                        List.of(subject("a", model), subject("b", model)),
                        windows,
                        ProgressListener.NONE);
        Divergence divergence = divergence(scores.get(1));
        assertThat(Quality.meanDivergence(divergence)).isZero();
        assertThat(Quality.sameTop(divergence)).isEqualTo(1);
        assertThat(Quality.perplexityRatio(scores.get(1), scores.get(0), 0))
                .isEqualTo(new Estimate(1, new Interval(1, 1)));
        Estimate perplexity = Quality.perplexity(scores.getFirst(), 0);
        assertThat(perplexity.value()).isEqualTo(Math.exp(Quality.meanLoss(scores.getFirst())));
        assertThat(perplexity.interval()).isNotNull();
        assertThat(perplexity.interval().contains(perplexity.value())).isTrue();
    }

    @Test
    void progressReachesTheEnd() throws IOException {
        TokenWindows windows = windows(9, Scoring.ALL);
        List<Long> heard = new ArrayList<>();
        Evaluation.run(
                List.of(subject("a", TinyModel.small())),
                windows,
                (_, done, total) -> {
                    assertThat(total).isEqualTo(9 * CONTEXT);
                    heard.add(done);
                },
                4 * CONTEXT * VOCAB * Float.BYTES);
        assertThat(heard).containsExactly(4L * CONTEXT, 8L * CONTEXT, 9L * CONTEXT);
    }

    @Test
    void brokenWeightsAreNamed() throws IOException {
        TinyModel model = TinyModel.small();
        Map<String, RawTensor> tensors = model.tensors();
        float[] scale = new float[32];
        scale[3] = Float.NaN;
        tensors.put("model.norm.weight", RawTensor.of(DType.F32, scale, 32));
        Path broken = model.write(folder.resolve("broken"), model.config(), tensors);
        Subject original = subject("original", model);
        Subject compressed = new Subject("compressed", open(broken));
        assertThatThrownBy(() ->
                        Evaluation.run(
                                List.of(original, compressed),
                                windows(2, Scoring.ALL),
                                ProgressListener.NONE))
                .hasMessageContaining("compressed")
                .hasMessageContaining("broken")
                .hasMessageContaining("not numbers");
    }

    @Test
    void vocabulariesMustAgree() throws IOException {
        Subject original = subject("original", TinyModel.small());
        Subject other = subject("other", TinyModel.small().vocab(VOCAB + 1));
        assertThatThrownBy(() ->
                        Evaluation.run(
                                List.of(original, other),
                                windows(2, Scoring.ALL),
                                ProgressListener.NONE))
                .hasMessageContaining("301")
                .hasMessageContaining("300");
    }

    private static double[] oneByOne(Decoder decoder, TokenWindows windows) {
        int last = windows.context() - 1;
        double[] losses = new double[windows.count()];
        for (int window = 0; window < losses.length; window++) {
            try (var scope = TensorScope.open()) {
                var ids = scope.tensor(windows.inputs(window, 1, 0, last), 1, last);
                var cache = decoder.newCache(1, last, scope);
                float[] logits = decoder.forward(ids, 0, cache, true, scope).floats();
                long[] targets = windows.targets(window, 1, 0, last);
                int first = windows.scoring().firstPosition(windows.context());
                for (int i = first; i < last; i++) {
                    losses[window] += loss(logits, i * VOCAB, (int) targets[i]);
                }
            }
        }
        return losses;
    }

    private static double loss(float[] logits, int row, int target) {
        double sum = 0;
        for (int i = 0; i < VOCAB; i++) {
            sum += Math.exp(logits[row + i]);
        }
        return Math.log(sum) - logits[row + target];
    }

    private static Divergence divergence(Scores scores) {
        Divergence divergence = scores.divergence();
        assertThat(divergence).isNotNull();
        return divergence;
    }

    private static TokenWindows windows(int count, Scoring scoring) {
        int[] ids = new Random(count).ints((long) count * CONTEXT, 2, VOCAB).toArray();
        assertThat(Arrays.stream(ids).distinct().count()).isGreaterThan(10);
        return TokenWindows.of(ids, CONTEXT, NO_LIMIT, scoring, 0);
    }

    private Subject subject(String name, TinyModel model) throws IOException {
        return new Subject(name, open(model.write(folder.resolve(name))));
    }

    private Decoder open(Path path) {
        Decoder decoder = Decoder.open(path);
        decoders.add(decoder);
        return decoder;
    }
}
