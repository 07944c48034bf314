package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import dev.lithe.model.Decoder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LatencyTest {
    private static final int[] IDS = new Random(1).ints(500, 2, 300).toArray();

    @TempDir private Path folder;

    @Test
    void everyModelRunsInEveryPair() throws IOException {
        try (Decoder a = Decoder.open(TinyModel.small().write(folder.resolve("a")));
                Decoder b = Decoder.open(TinyModel.small().seed(2).write(folder.resolve("b")))) {
            List<Long> heard = new ArrayList<>();
            Latency.Result result =
                    Latency.measure(
                            List.of(new Subject("a", a), new Subject("b", b)),
                            List.of(IDS, IDS),
                            new LatencyOptions(10, 8, 5, 0),
                            (_, done, _) -> heard.add(done));
            assertThat(heard).containsExactly(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L);
            assertThat(result.models()).hasSize(2);
            for (LatencySamples samples :
                    List.of(result.models().get(0), result.models().get(1), result.again())) {
                assertThat(samples.firstToken()).hasSize(10);
                assertThat(samples.perToken()).hasSize(10);
                for (int i = 0; i < 10; i++) {
                    assertThat(samples.firstToken()[i]).isPositive();
                    assertThat(samples.perToken()[i]).isPositive();
                }
            }
        }
    }

    @Test
    void lengthsAreCutToWhatFits() throws IOException {
        TinyModel model = TinyModel.small().positions(20);
        try (Decoder decoder = Decoder.open(model.write(folder.resolve("short")))) {
            Latency.Result result =
                    Latency.measure(
                            List.of(new Subject("short", decoder)),
                            List.of(IDS),
                            new LatencyOptions(10, 64, 64, 0),
                            ProgressListener.NONE);
            assertThat(result.options()).isEqualTo(new LatencyOptions(10, 10, 11, 0));
        }
    }

    @Test
    void ratiosCompareMediansAndDecideByTheInterval() {
        double[] slow = {4, 4.1, 4.2, 3.9, 4, 4.1, 4.2, 3.9, 4, 40};
        double[] fast = {2, 2.1, 2.2, 1.9, 2, 2.1, 2.2, 1.9, 2, 2};
        var original = new LatencySamples(11, slow, slow);
        var compressed = new LatencySamples(11, fast, slow);
        Estimate first = compressed.firstTokenRatio(original, 0);
        assertThat(first.value()).isCloseTo(0.5, within(0.02));
        assertThat(Verdict.of(first.interval())).isEqualTo(Verdict.FASTER);
        assertThat(compressed.perTokenRatio(original, 0))
                .isEqualTo(new Estimate(1, new Interval(1, 1)));
        assertThat(Verdict.of(original.firstTokenRatio(compressed, 0).interval()))
                .isEqualTo(Verdict.SLOWER);
    }

    @Test
    void tokensPerSecondCountsWholeRuns() {
        var samples = new LatencySamples(11, new double[] {10, 10}, new double[] {1, 1});
        assertThat(samples.tokensPerSecond()).isCloseTo(11 / 0.020, within(1e-9));
    }

    @Test
    void settingsThatMeasureNothingAreRefused() {
        assertThat(new LatencyOptions(0, 64, 64, 0).pairs()).isZero();
        assertThatThrownBy(() -> new LatencyOptions(4, 64, 64, 0)).hasMessageContaining("4");
        assertThatThrownBy(() -> new LatencyOptions(-1, 64, 64, 0)).hasMessageContaining("-1");
        assertThatThrownBy(() -> new LatencyOptions(20, 0, 64, 0)).hasMessageContaining("0 prompt");
        assertThatThrownBy(() -> new LatencyOptions(20, 64, 1, 0)).hasMessageContaining("1 output");
    }
}
