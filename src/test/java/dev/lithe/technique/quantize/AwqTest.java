package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.BlockTechnique;
import dev.lithe.technique.BlockTechniqueContract;
import dev.lithe.technique.Settings;
import dev.lithe.technique.quantize.Awq.Config;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// That `quantize: false` changes nothing of what models of all kinds compute, comes from the
/// contract; what awq is good for is measured on the demo.
class AwqTest extends BlockTechniqueContract<Config> {
    private static final long SEED = 50;

    private final Awq awq = new Awq();

    @Override
    protected BlockTechnique<Config> technique() {
        return awq;
    }

    @Override
    protected List<Settings<Config>> settings() {
        Config four = config(4, 16, true, true, true, List.of());
        List<String> most = List.of("gate_proj", "up_proj", "down_proj", "lm_head");
        return List.of(
                Settings.of(config(4, 0, true, true, false, most)),
                Settings.of(four),
                Settings.of(config(3, 8, false, true, false, List.of("lm_head", "v_proj"))),
                Settings.of(config(2, 0, true, true, true, List.of())),
                Settings.of(config(4, 16, true, false, true, List.of())),
                new Settings<>(
                        four,
                        List.of(
                                new Settings.Override<>(
                                        "down_proj", config(8, 0, false, true, true, List.of())))));
    }

    private static Config config(
            int bits,
            int group,
            boolean symmetric,
            boolean quantize,
            boolean clip,
            List<String> ignore) {
        return new Config(
                bits, group, symmetric, true, clip, quantize, Indivisible.INT8, List.of(), ignore);
    }

    /// Against plain Java: E H Eᵀ of what the stored codes mean.
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void theCostOfAScaleIsWhatTheOutputLoses(boolean symmetric) {
        var random = new Random(SEED);
        int n = 5;
        int k = 24;
        int group = 8;
        float[] w = normal(random, n * k);
        float[] h = hessian(random, k);
        float[] s = new float[k];
        for (int i = 0; i < k; i++) {
            s[i] = (float) Math.exp(0.3 * random.nextGaussian());
        }
        try (var scope = TensorScope.open()) {
            Value weight = scope.tensor(w, n, k);
            Value hessian = scope.tensor(h, k, k);
            Value scale = scope.tensor(s, k);
            Value scaled = scope.call("scale_columns", weight, scale);
            Value seen = scope.call("scaled_hessian", hessian, scale);
            double cost =
                    scope.call("rounding_error", scaled, seen, 3, group, symmetric, 0, 6).number();
            List<Value> codes = scope.call("rtn", scaled, 3, group, symmetric, 0, 6).members();
            long[] q = codes.get(0).longs();
            float[] step = codes.get(1).floats();
            double[] e = new double[n * k];
            for (int i = 0; i < e.length; i++) {
                int at = i / group;
                long zero = symmetric ? 0 : codes.get(2).longs()[at];
                e[i] = (q[i] - zero) * (double) step[at] / s[i % k] - w[i];
            }
            double expected = energy(e, h, n, k) / 2;
            assertThat(cost).as("seed %d", SEED).isCloseTo(expected, within(1e-4 * expected));
        }
    }

    /// Clipping by a group's part of H loses less of the group's output than clipping by weights.
    @Test
    void clippingLosesLessOfTheOutputOfEachGroup() {
        var random = new Random(SEED);
        int n = 16;
        int k = 64;
        int group = 16;
        float[] w = normal(random, n * k);
        float[] h = hessian(random, k);
        try (var scope = TensorScope.open()) {
            Value weight = scope.tensor(w, n, k);
            Value hessian = scope.tensor(h, k, k);
            float[] own = h.clone();
            for (int i = 0; i < own.length; i++) {
                own[i] = i / k / group == i % k / group ? own[i] : 0;
            }
            for (boolean symmetric : new boolean[] {true, false}) {
                double clipped =
                        energy(
                                error(
                                        w,
                                        scope.call(
                                                "clip_codes",
                                                weight,
                                                hessian,
                                                3,
                                                group,
                                                symmetric,
                                                20,
                                                6),
                                        group,
                                        symmetric),
                                own,
                                n,
                                k);
                double rounded =
                        energy(
                                error(
                                        w,
                                        scope.call("rtn", weight, 3, group, symmetric, 14, 6),
                                        group,
                                        symmetric),
                                own,
                                n,
                                k);
                assertThat(clipped).as("seed %d", SEED).isLessThan(0.97 * rounded);
            }
        }
    }

    private static double[] error(float[] w, Value result, int group, boolean symmetric) {
        List<Value> codes = result.members();
        long[] q = codes.get(0).longs();
        float[] scale = codes.get(1).floats();
        long[] zero = symmetric ? new long[scale.length] : codes.get(2).longs();
        double[] e = new double[w.length];
        for (int i = 0; i < e.length; i++) {
            e[i] = (q[i] - zero[i / group]) * (double) scale[i / group] - w[i];
        }
        return e;
    }

    private static double energy(double[] e, float[] h, int n, int k) {
        double sum = 0;
        for (int row = 0; row < n; row++) {
            for (int i = 0; i < k; i++) {
                for (int j = 0; j < k; j++) {
                    sum += e[row * k + i] * h[i * k + j] * e[row * k + j];
                }
            }
        }
        return sum;
    }

    /// X Xᵀ of inputs that have to do with each other and differ in size.
    private static float[] hessian(Random random, int k) {
        int tokens = 3 * k;
        double[][] x = new double[k][tokens];
        for (int t = 0; t < tokens; t++) {
            double common = random.nextGaussian();
            for (int i = 0; i < k; i++) {
                x[i][t] = (random.nextGaussian() + common) * (i % 5 == 0 ? 4 : 1);
            }
        }
        float[] h = new float[k * k];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                double sum = 0;
                for (int t = 0; t < tokens; t++) {
                    sum += x[i][t] * x[j][t];
                }
                h[i * k + j] = (float) sum;
            }
        }
        return h;
    }

    private static float[] normal(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    @Test
    void refusesWhatMakesNoSense() {
        assertThatThrownBy(() -> config(9, 32, true, true, true, List.of()))
                .isInstanceOf(LitheException.class);
        assertThatThrownBy(() -> config(4, 7, true, true, true, List.of()))
                .isInstanceOf(LitheException.class);
        var name = new LinearName("model.layers.0.mlp.up_proj", 0, Slot.GATE_UP, 48, 32, false);
        assertThatThrownBy(() ->
                        awq.outcome(name, new LinearForm.Int8(DType.F16), new Awq().defaults()))
                .hasMessageContaining("quantizing twice");
    }
}
