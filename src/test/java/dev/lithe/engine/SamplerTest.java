package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SamplerTest {
    private static final int DRAWS = 40_000;

    private static SamplingOptions options(
            double temperature, int topK, double topP, double minP, double penalty) {
        return new SamplingOptions(temperature, topK, topP, minP, penalty, OptionalLong.empty());
    }

    /// Probabilities by the definitions, in the plainest way.
    private static double[] oracle(float[] logits, SamplingOptions options, Set<Integer> occurred) {
        int n = logits.length;
        double[] p = new double[n];
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            double logit = logits[i];
            if (occurred.contains(i)) {
                double penalty = options.repetitionPenalty();
                logit = logit > 0 ? logit / penalty : logit * penalty;
            }
            p[i] = Math.exp(logit / options.temperature());
            order.add(i);
        }
        order.sort(Comparator.comparingDouble((Integer i) -> -p[i]));
        for (int rank = options.topK(); options.topK() > 0 && rank < n; rank++) {
            p[order.get(rank)] = 0;
        }
        normalize(p);
        double sum = 0;
        for (int id : order) {
            if (sum >= options.topP() - 1e-12) {
                p[id] = 0;
            }
            sum += p[id];
        }
        double largest = p[order.getFirst()];
        for (int i = 0; i < n; i++) {
            p[i] = p[i] < options.minP() * largest ? 0 : p[i];
        }
        normalize(p);
        return p;
    }

    private static void normalize(double[] p) {
        double sum = 0;
        for (double each : p) {
            sum += each;
        }
        for (int i = 0; i < p.length; i++) {
            p[i] /= sum;
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 0, 1, 0, 1",
        "0.7, 0, 1, 0, 1",
        "1.5, 4, 1, 0, 1",
        "1, 0, 0.8, 0, 1",
        "1, 0, 1, 0.2, 1",
        "1, 0, 1, 0, 1.7",
        "0.9, 6, 0.9, 0.1, 1.3",
        "1, 100, 0.999, 0, 0.5"
    })
    void drawsFollowTheDefinition(
            double temperature, int topK, double topP, double minP, double penalty) {
        long seed = 11;
        var random = new Random(seed);
        float[] logits = new float[12];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) (1.5 * random.nextGaussian());
        }
        SamplingOptions options = options(temperature, topK, topP, minP, penalty);
        Set<Integer> occurred = Set.of(0, 3, 5);
        double[] expected = oracle(logits, options, occurred);
        var sampler = new Sampler(options, seed);
        sampler.occurred(0, 3, 5);
        double[] frequency = new double[logits.length];
        for (int draw = 0; draw < DRAWS; draw++) {
            frequency[sampler.next(logits.clone())] += 1.0 / DRAWS;
        }
        for (int i = 0; i < logits.length; i++) {
            if (expected[i] == 0) {
                assertThat(frequency[i]).as("seed %d, token %d", seed, i).isZero();
            }
            double deviation = Math.sqrt(expected[i] * (1 - expected[i]) / DRAWS);
            assertThat(frequency[i])
                    .as("seed %d, token %d", seed, i)
                    .isCloseTo(expected[i], within(5 * deviation + 1e-9));
        }
    }

    @Test
    void theLikeliestComeFirstAndTiesByTheLowerId() {
        long seed = 3;
        var random = new Random(seed);
        for (int size : new int[] {1, 2, 3, 64, 1000}) {
            float[] logits = new float[size];
            List<Integer> expected = new ArrayList<>();
            for (int id = 0; id < size; id++) {
                // Few values, so that there are ties; both zeros are one value.
                int step = random.nextInt(-6, 7);
                logits[id] = step == -6 ? Float.NEGATIVE_INFINITY : step * -0.5f;
                expected.add(id);
            }
            expected.sort(Comparator.comparingDouble((Integer id) -> -(logits[id] + 0f)));
            var order = new LikeliestFirst(logits);
            List<Integer> actual = new ArrayList<>();
            expected.forEach(_ -> actual.add(order.next()));
            assertThat(actual).as("seed %d, size %d", seed, size).isEqualTo(expected);
        }
    }

    @Test
    void zeroTemperatureTakesTheFirstOfTheLargest() {
        var sampler = new Sampler(SamplingOptions.GREEDY, 0);
        assertThat(sampler.next(new float[] {1, 3, 3, -2})).isEqualTo(1);
    }

    @Test
    void penaltyHoldsForTheMostLikelyTooAndPushesNegativesDown() {
        var sampler = new Sampler(options(0, 0, 1, 0, 2), 0);
        sampler.occurred(1);
        assertThat(sampler.next(new float[] {1.6f, 3, -1})).isZero();
        var negative = new Sampler(options(0, 0, 1, 0, 2), 0);
        negative.occurred(0);
        assertThat(negative.next(new float[] {-1, -1.5f})).isEqualTo(1);
    }

    @Test
    void theSameSeedDrawsTheSame() {
        SamplingOptions options = options(1, 0, 1, 0, 1);
        Set<List<Integer>> texts = new HashSet<>();
        for (long seed : new long[] {5, 5, 6}) {
            var sampler = new Sampler(options, seed);
            List<Integer> drawn = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                drawn.add(sampler.next(new float[8]));
            }
            texts.add(drawn);
        }
        assertThat(texts).hasSize(2);
    }

    @Test
    void impossibleTokensAreNeverDrawn() {
        var sampler = new Sampler(options(1, 0, 1, 0, 1), 1);
        for (int i = 0; i < 1000; i++) {
            float none = Float.NEGATIVE_INFINITY;
            assertThat(sampler.next(new float[] {none, 0, none})).isEqualTo(1);
        }
    }

    @Test
    void logitsThatAreNoNumbersAreAFault() {
        var sampler = new Sampler(SamplingOptions.GREEDY, 0);
        assertThatThrownBy(() -> sampler.next(new float[] {0, Float.NaN}))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("logit 1 of 2");
        assertThatThrownBy(() -> sampler.next(new float[] {Float.POSITIVE_INFINITY}))
                .isInstanceOf(LitheException.class);
        assertThatThrownBy(() -> sampler.next(new float[] {Float.NEGATIVE_INFINITY}))
                .isInstanceOf(LitheException.class);
    }

    @ParameterizedTest
    @CsvSource({
        "-1, 0, 1, 0, 1, temperature",
        "NaN, 0, 1, 0, 1, temperature",
        "101, 0, 1, 0, 1, temperature",
        "1, -1, 1, 0, 1, top_k",
        "1, 0, 0, 0, 1, top_p",
        "1, 0, 1.1, 0, 1, top_p",
        "1, 0, NaN, 0, 1, top_p",
        "1, 0, 1, 1, 1, min_p",
        "1, 0, 1, -0.1, 1, min_p",
        "1, 0, 1, 0, 0, repetition_penalty",
        "1, 0, 1, 0, Infinity, repetition_penalty"
    })
    void optionsOutOfRangeAreRefusedByName(
            double temperature, int topK, double topP, double minP, double penalty, String field) {
        assertThatThrownBy(() -> options(temperature, topK, topP, minP, penalty))
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.field()).contains(field));
    }
}
