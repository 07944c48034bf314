package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The kernels of `evaluate.py` against plain loops in float64.
class KernelOracleTest {
    private static final int B = 2;
    private static final int S = 3;
    private static final double TOLERANCE = 1e-5;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void lossIsTheNegativeLogOfTheTargetsProbability(long seed) {
        int v = 37;
        var random = new Random(seed);
        float[] logits = logits(random, B * S * v);
        long[] targets = random.longs(B * S, 0, v).toArray();
        try (var scope = TensorScope.open()) {
            float[] loss =
                    scope.call(
                                    "token_loss",
                                    scope.tensor(logits, B, S, v),
                                    scope.tensor(targets, B, S))
                            .floats();
            for (int i = 0; i < B * S; i++) {
                double expected = -Math.log(softmax(logits, i, v)[(int) targets[i]]);
                assertThat((double) loss[i]).isCloseTo(expected, within(TOLERANCE));
            }
        }
    }

    /// The large vocabulary makes the kernel cut the rows into several slices.
    @ParameterizedTest(name = "vocabulary {0}")
    @ValueSource(ints = {5, 37, 200_000})
    void divergenceIsTheExpectedLogRatio(int v) {
        var random = new Random(v);
        float[] original = logits(random, B * S * v);
        float[] other = logits(random, B * S * v);
        System.arraycopy(original, 0, other, 0, v); // the first row agrees
        try (var scope = TensorScope.open()) {
            Value p = scope.tensor(original, B, S, v);
            Value q = scope.tensor(other, B, S, v);
            List<Value> result = scope.call("divergence", p, q).members();
            float[] kl = result.get(0).floats();
            float[] same = result.get(1).floats();
            assertThat(result.get(0).shape()).containsExactly(B, S);
            assertThat(kl[0]).isZero();
            for (int i = 0; i < B * S; i++) {
                double expected = divergence(softmax(original, i, v), softmax(other, i, v));
                assertThat((double) kl[i]).isCloseTo(expected, within(1e-4 * (1 + expected)));
                boolean sameTop = top(original, i, v) == top(other, i, v);
                assertThat(same[i]).isEqualTo(sameTop ? 1 : 0);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void oneElementThatIsNoNumberSpoilsTheSum(float bad) {
        float[] logits = logits(new Random(1), 1000);
        try (var scope = TensorScope.open()) {
            assertThat(scope.call("finite_sum", scope.tensor(logits, 1000)).integer()).isOne();
            logits[517] = bad;
            assertThat(scope.call("finite_sum", scope.tensor(logits, 1000)).integer()).isZero();
        }
    }

    private static float[] logits(Random random, int count) {
        float[] logits = new float[count];
        for (int i = 0; i < count; i++) {
            logits[i] = (float) (3 * random.nextGaussian());
        }
        return logits;
    }

    private static double[] softmax(float[] logits, int row, int v) {
        double[] p = new double[v];
        double sum = 0;
        for (int i = 0; i < v; i++) {
            p[i] = Math.exp(logits[row * v + i]);
            sum += p[i];
        }
        for (int i = 0; i < v; i++) {
            p[i] /= sum;
        }
        return p;
    }

    private static double divergence(double[] p, double[] q) {
        double kl = 0;
        for (int i = 0; i < p.length; i++) {
            kl += p[i] * Math.log(p[i] / q[i]);
        }
        return kl;
    }

    private static int top(float[] logits, int row, int v) {
        int top = 0;
        for (int i = 1; i < v; i++) {
            if (logits[row * v + i] > logits[row * v + top]) {
                top = i;
            }
        }
        return top;
    }
}
