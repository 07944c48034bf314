package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.quantize.Rtn.Activations;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.technique.quantize.Rtn.Observer;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HqqTest extends LinearTechniqueContract<Hqq.Config> {
    private static final int N = 16;
    private static final int K = 128;

    private final Hqq hqq = new Hqq();

    private static Hqq.Config config(int bits, int group, double p) {
        return config(bits, group, p, 20);
    }

    private static Hqq.Config config(int bits, int group, double p, int iterations) {
        return new Hqq.Config(
                bits, group, p, 10, 1.01, iterations, Indivisible.INT8, List.of(), List.of());
    }

    @Override
    protected LinearTechnique<Hqq.Config> technique() {
        return hqq;
    }

    @Override
    protected List<Hqq.Config> configurations() {
        return List.of(
                config(4, 64, 0.7, 1), config(3, 32, 0.7), config(2, 0, 0.5), config(8, 0, 1));
    }

    @Override
    protected List<List<Hqq.Config>> growingBudgets() {
        return List.of(
                Stream.of(2, 3, 4, 5, 6, 7, 8).map(bits -> config(bits, 64, 0.7)).toList(),
                Stream.of(0, 256, 128, 64, 32, 16, 8).map(group -> config(4, group, 0.7)).toList());
    }

    @Override
    protected boolean keepsSingleZeros() {
        return false;
    }

    @Test
    void findsAGridThatIsThere() {
        // codes 0 to 15 with step 0.5 and zero between two codes: 7.25
        float[] w = new float[N * K];
        for (int i = 0; i < w.length; i++) {
            w[i] = (i * 7 % 16 - 7.25f) * 0.5f;
        }
        double[] after = StoredWeights.of(apply(w, config(4, 64, 0.7)));
        assertThat(loss(w, after)).isLessThan(1e-6);
    }

    @ParameterizedTest
    @CsvSource({"2, 1", "3, 2", "4, 3"})
    void losesLessThanRounding(int bits, long seed) {
        float[] w = normal(N * K, seed);
        double fitted = loss(w, StoredWeights.of(apply(w, config(bits, 64, 0.7))));
        for (Observer observer : Observer.values()) {
            double rounded = loss(w, StoredWeights.of(rounded(w, bits, observer)));
            assertThat(fitted).as("against %s, seed %d", observer, seed).isLessThan(rounded);
        }
    }

    private Linear apply(float[] w, Hqq.Config config) {
        var scope = TensorScope.open();
        var before = new LinearForm.Dense(DType.F32);
        var dense = new Linear.Dense(scope.tensor(w, N, K), null, before);
        return hqq.apply(dense, hqq.outcome(name(), before, config), config, scope);
    }

    private static Linear rounded(float[] w, int bits, Observer observer) {
        var rtn = new Rtn();
        var config =
                new Rtn.Config(
                        bits,
                        64,
                        false,
                        Activations.NONE,
                        observer,
                        Indivisible.INT8,
                        List.of(),
                        List.of());
        var scope = TensorScope.open();
        var before = new LinearForm.Dense(DType.F32);
        var dense = new Linear.Dense(scope.tensor(w, N, K), null, before);
        return rtn.apply(dense, rtn.outcome(name(), before, config), config, scope);
    }

    private static LinearName name() {
        return new LinearName("down_proj", 0, Slot.DOWN, N, K, false);
    }

    @ParameterizedTest
    @CsvSource({
        "1, 64, 0.7, 10, 1.01, 20, bits is 1",
        "4, 7, 0.7, 10, 1.01, 20, group_size is 7",
        "4, 64, 0, 10, 1.01, 20, p is 0.0",
        "4, 64, NaN, 10, 1.01, 20, p is NaN",
        "4, 64, 0.7, 0, 1.01, 20, beta is 0.0",
        "4, 64, 0.7, 10, 0.9, 20, kappa is 0.9",
        "4, 64, 0.7, 10, 1.01, 0, iterations is 0",
    })
    void refusesWhatCannotBe(
            int bits,
            int group,
            double p,
            double beta,
            double kappa,
            int iterations,
            String message) {
        assertThatThrownBy(() ->
                        new Hqq.Config(
                                bits,
                                group,
                                p,
                                beta,
                                kappa,
                                iterations,
                                Indivisible.INT8,
                                List.of(),
                                List.of()))
                .isInstanceOf(LitheException.class)
                .hasMessageStartingWith(message);
    }
}
