package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The errors of the table, against sums over outputs in plain Java.
class LayerErrorsTest {
    private static final long SEED = 31;
    private static final int K = 24;
    private static final int TOKENS = 40;

    private final Random random = new Random(SEED);

    private float[] normal(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static Linear dense(float[] w, int n, TensorScope scope) {
        return new Linear.Dense(scope.tensor(w, n, K), null, new LinearForm.Dense(DType.F32));
    }

    @Test
    void errorsAreThoseOfOutputsOrOfWeights() {
        for (int n : new int[] {5, 256, 600}) {
            try (var scope = TensorScope.open()) {
                float[] w = normal(n * K);
                float[] q = w.clone();
                for (int i = 0; i < q.length; i++) {
                    q[i] = Math.round(q[i] * 4) / 4f;
                }
                float[] x = normal(TOKENS * K);
                Value hessian = scope.call("zeros", K, K);
                scope.call("add_outer", hessian, scope.tensor(x, TOKENS, K), 2.0 / TOKENS);
                var name = new LinearName("a.up_proj", 0, Slot.GATE_UP, n, K, false);
                Linear before = dense(w, n, scope);
                Linear after = dense(q, n, scope);
                var seen = new InputStatistics(hessian, TOKENS, scope);
                LayerResult outputs = LayerErrors.measure(name, before, after, seen, "damped");
                assertThat(outputs.error())
                        .as("n %d, seed %d", n, SEED)
                        .isCloseTo(error(w, q, x, n), within(1e-4));
                assertThat(outputs.outputs()).isTrue();
                assertThat(outputs.nearest()).as("a dense form has none").isNull();
                LayerResult weights = LayerErrors.measure(name, before, after, null, null);
                assertThat(weights.error())
                        .as("n %d, seed %d", n, SEED)
                        .isCloseTo(error(w, q, identity(), n), within(1e-4));
                assertThat(weights.outputs()).isFalse();
                assertThat(LayerResult.of(outputs.toJson())).isEqualTo(outputs);
                assertThat(LayerResult.of(weights.toJson())).isEqualTo(weights);
            }
        }
    }

    private static float[] identity() {
        float[] x = new float[K * K];
        for (int i = 0; i < K; i++) {
            x[i * K + i] = 1;
        }
        return x;
    }

    /// Of the outputs that are looked at: at most 256, evenly spaced.
    private static double error(float[] w, float[] q, float[] x, int n) {
        int count = Math.min(n, 256);
        double lost = 0;
        double all = 0;
        for (int r = 0; r < count; r++) {
            int row = r * n / count;
            for (int t = 0; t < x.length / K; t++) {
                double before = 0;
                double after = 0;
                for (int k = 0; k < K; k++) {
                    before += (double) w[row * K + k] * x[t * K + k];
                    after += (double) q[row * K + k] * x[t * K + k];
                }
                lost += (before - after) * (before - after);
                all += before * before;
            }
        }
        return Math.sqrt(lost / all);
    }
}
