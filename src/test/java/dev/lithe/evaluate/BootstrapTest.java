package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BootstrapTest {
    @Test
    void sameSeedDrawsTheSameSamples() {
        double[] samples = gaussian(40, 1);
        Estimate first = mean(samples, 7);
        assertThat(mean(samples, 7)).isEqualTo(first);
        assertThat(mean(samples, 8)).isNotEqualTo(first);
        assertThat(mean(samples, 8).value()).isEqualTo(first.value());
    }

    @Test
    void intervalOfAMeanIsAsWideAsTheoryHasIt() {
        double[] samples = gaussian(400, 2);
        Interval interval = interval(mean(samples, 0));
        double spread = Math.sqrt(Arrays.stream(samples).map(x -> x * x).sum() / 400);
        double expected = 2 * 1.96 * spread / Math.sqrt(400);
        assertThat(interval.high() - interval.low()).isCloseTo(expected, within(0.1 * expected));
        assertThat(interval.contains(mean(samples, 0).value())).isTrue();
    }

    @Test
    void intervalsHoldTheTruthAboutAsOftenAsTheySay() {
        int held = 0;
        for (int trial = 0; trial < 100; trial++) {
            held += interval(mean(gaussian(30, 100 + trial), trial)).contains(0) ? 1 : 0;
        }
        assertThat(held).isBetween(86, 100);
    }

    @Test
    void tooFewSamplesGiveNoInterval() {
        assertThat(mean(gaussian(Bootstrap.FEWEST_SAMPLES - 1, 3), 0).interval()).isNull();
        assertThat(mean(gaussian(Bootstrap.FEWEST_SAMPLES, 3), 0).interval()).isNotNull();
    }

    @Test
    void pairedRatioCancelsWhatBothShare() {
        // Windows differ by far more than the models do.
        double[] original = gaussian(50, 4);
        double[] worse = original.clone();
        for (int i = 0; i < original.length; i++) {
            original[i] = 100 + 30 * original[i];
            worse[i] = original[i] + 1;
        }
        var base = new Scores(10, original, null);
        Estimate ratio = Quality.perplexityRatio(new Scores(10, worse, null), base, 0);
        assertThat(ratio.value()).isCloseTo(Math.exp(0.1), within(1e-9));
        assertThat(interval(ratio).high() - interval(ratio).low()).isLessThan(1e-9);
        assertThat(Quality.perplexityRatio(base, base, 0))
                .isEqualTo(new Estimate(1, new Interval(1, 1)));
    }

    @Test
    void percentilesInterpolate() {
        double[] samples = {4, 1, 3, 2, 5};
        assertThat(Percentiles.of(samples).p50()).isEqualTo(3);
        assertThat(Percentiles.of(samples).p95()).isCloseTo(4.8, within(1e-12));
        assertThat(Percentiles.of(samples).p99()).isCloseTo(4.96, within(1e-12));
        assertThat(Percentiles.of(new double[] {7})).isEqualTo(new Percentiles(7, 7, 7));
    }

    @ParameterizedTest
    @CsvSource({
        "0.5, 0.9, FASTER",
        "1.1, 1.2, SLOWER",
        "0.9, 1.1, NO_DETECTABLE_DIFFERENCE",
        "1.0, 1.1, NO_DETECTABLE_DIFFERENCE"
    })
    void verdictGoesByTheInterval(double low, double high, Verdict verdict) {
        assertThat(Verdict.of(new Interval(low, high))).isEqualTo(verdict);
    }

    @Test
    void withoutAnIntervalThereIsNoVerdict() {
        assertThat(Verdict.of(null)).isEqualTo(Verdict.NO_DETECTABLE_DIFFERENCE);
    }

    private static Estimate mean(double[] samples, long seed) {
        return Bootstrap.estimate(
                samples.length,
                seed,
                drawn -> Arrays.stream(drawn).mapToDouble(i -> samples[i]).average().orElseThrow());
    }

    private static Interval interval(Estimate estimate) {
        Interval interval = estimate.interval();
        assertThat(interval).isNotNull();
        return interval;
    }

    private static double[] gaussian(int n, long seed) {
        var random = new Random(seed);
        return random.doubles(n).map(_ -> random.nextGaussian()).toArray();
    }
}
