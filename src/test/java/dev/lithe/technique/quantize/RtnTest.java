package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.fault.Fault;
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
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class RtnTest extends LinearTechniqueContract<Rtn.Config> {
    private static final int N = 9;
    private static final int K = 96;

    private final Rtn rtn = new Rtn();

    private static Rtn.Config config(int bits, int group, boolean symmetric, Observer observer) {
        return config(bits, group, symmetric, Activations.NONE, observer, Indivisible.INT8);
    }

    private static Rtn.Config config(
            int bits,
            int group,
            boolean symmetric,
            Activations activations,
            Observer observer,
            Indivisible indivisible) {
        return new Rtn.Config(
                bits, group, symmetric, activations, observer, indivisible, List.of(), List.of());
    }

    @Override
    protected LinearTechnique<Rtn.Config> technique() {
        return rtn;
    }

    @Override
    protected List<Rtn.Config> configurations() {
        return List.of(
                config(4, 32, false, Observer.MINMAX),
                config(4, 32, true, Observer.MSE),
                config(4, 32, false, Observer.MSE),
                config(2, 8, false, Observer.MSE),
                config(3, 0, true, Observer.MSE),
                config(5, 16, true, Activations.NONE, Observer.MINMAX, Indivisible.DENSE),
                config(8, 0, false, Observer.MSE),
                config(8, 0, true, Activations.DYNAMIC, Observer.MSE, Indivisible.REFUSE));
    }

    @Override
    protected List<List<Rtn.Config>> growingBudgets() {
        return Stream.of(true, false)
                .flatMap(symmetric ->
                        Stream.of(Observer.values())
                                .flatMap(observer ->
                                        Stream.of(
                                                Stream.of(2, 3, 4, 5, 6, 7, 8)
                                                        .map(bits ->
                                                                config(
                                                                        bits, 64, symmetric,
                                                                        observer))
                                                        .toList(),
                                                Stream.of(0, 256, 128, 64, 32, 16, 8)
                                                        .map(group ->
                                                                config(
                                                                        4, group, symmetric,
                                                                        observer))
                                                        .toList())))
                .toList();
    }

    private static Stream<Rtn.Config> minmaxConfigs() {
        return Stream.of(2, 3, 4, 8)
                .flatMap(bits ->
                        Stream.of(0, 32)
                                .flatMap(group ->
                                        Stream.of(true, false)
                                                .map(symmetric ->
                                                        config(
                                                                bits,
                                                                group,
                                                                symmetric,
                                                                Observer.MINMAX))));
    }

    @ParameterizedTest
    @MethodSource("minmaxConfigs")
    void minmaxAgreesWithTheFormula(Rtn.Config config) {
        for (long seed = 1; seed <= 3; seed++) {
            float[] w = normal(N * K, seed);
            for (int i = 0; i < K; i++) {
                w[i] = Math.abs(w[i]); // a row of one sign
                w[K + i] = -Math.abs(w[K + i]);
            }
            try (var scope = TensorScope.open()) {
                var stored = (Linear.Grouped) quantize(w, config, DType.F32, scope);
                check(w, config, stored, "%s, seed %d".formatted(config, seed));
            }
        }
    }

    private static void check(float[] w, Rtn.Config config, Linear.Grouped stored, String what) {
        int[] codes = StoredWeights.codes(stored);
        int[] zeros = StoredWeights.zeros(stored);
        float[] scales = stored.scale().floats();
        int group = config.groupSize() == 0 ? K : config.groupSize();
        int half = 1 << (config.bits() - 1);
        for (int g = 0; g < scales.length; g++) {
            double low = 0;
            double high = 0;
            for (int i = g * group; i < (g + 1) * group; i++) {
                low = Math.min(low, w[i]);
                high = Math.max(high, w[i]);
            }
            double scale =
                    config.symmetric()
                            ? Math.max(-low, high) / ((2 * half - 1) / 2.0)
                            : (high - low) / (2 * half - 1);
            assertThat((double) scales[g])
                    .as("%s, scale of group %d", what, g)
                    .isCloseTo(scale, within(1e-6 * scale));
            double zero = config.symmetric() ? 0 : Math.rint(-half - low / scale);
            assertThat((double) zeros[g])
                    .as("%s, zero point of group %d", what, g)
                    .isEqualTo(Math.clamp(zero, -half, half - 1));
            for (int i = g * group; i < (g + 1) * group; i++) {
                double exact = Math.clamp(w[i] / scale + zeros[g], -half, half - 1);
                assertThat(Math.abs(codes[i] - exact))
                        .as("%s, weight %d: code %d for %s", what, i, codes[i], exact)
                        .isLessThan(0.5 + 1e-4);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "2, true, F32", "3, true, F16", "4, true, BF16", "8, true, BF16", "8, true, F16",
        "2, false, F32", "3, false, F16", "4, false, BF16", "8, false, BF16", "8, false, F16"
    })
    void searchNeverLosesMoreThanMinmaxInAnyGroup(int bits, boolean symmetric, DType type) {
        for (long seed = 1; seed <= 4; seed++) {
            int group = 32;
            float[] w = normal(N * K, seed);
            try (var scope = TensorScope.open()) {
                float[] given = scope.call("cast", scope.tensor(w, N, K), type.code()).floats();
                double[] range =
                        StoredWeights.of(
                                quantize(
                                        w,
                                        config(bits, group, symmetric, Observer.MINMAX),
                                        type,
                                        scope));
                double[] search =
                        StoredWeights.of(
                                quantize(
                                        w,
                                        config(bits, group, symmetric, Observer.MSE),
                                        type,
                                        scope));
                for (int g = 0; g < N * K / group; g++) {
                    assertThat(loss(given, search, g * group, group))
                            .as("seed %d, group %d", seed, g)
                            .isLessThanOrEqualTo(loss(given, range, g * group, group) * (1 + 1e-5));
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"true, F16", "false, F16", "true, BF16", "false, BF16", "true, F32", "false, F32"})
    void groupsOfNothingHaveAScaleAllTheSame(boolean symmetric, DType type) {
        for (float size : new float[] {0, 1e-7f, 1e-6f}) {
            float[] w = normal(N * K, 7);
            for (int i = 0; i < 2 * K; i++) {
                w[i] *= size;
            }
            for (Observer observer : Observer.values()) {
                try (var scope = TensorScope.open()) {
                    Rtn.Config config = config(4, 32, symmetric, observer);
                    var stored = (Linear.Grouped) quantize(w, config, type, scope);
                    for (float scale : stored.scale().floats()) {
                        assertThat(scale).isFinite().isNotZero();
                    }
                    if (size == 0) {
                        assertThat(StoredWeights.of(stored)).startsWith(new double[2 * K]);
                    }
                }
            }
        }
    }

    private static double loss(float[] before, double[] after, int first, int count) {
        double loss = 0;
        for (int i = first; i < first + count; i++) {
            loss += (before[i] - after[i]) * (before[i] - after[i]);
        }
        return loss;
    }

    @Test
    void theLargestFloatsThereAreDoNotOverflow() {
        float[] w = normal(N * K, 8);
        w[1] = 3e38f;
        w[2] = -3.4e38f;
        for (boolean symmetric : new boolean[] {true, false}) {
            for (Observer observer : Observer.values()) {
                try (var scope = TensorScope.open()) {
                    Rtn.Config config = config(4, 32, symmetric, observer);
                    double[] after = StoredWeights.of(quantize(w, config, DType.F32, scope));
                    assertThat(after[1]).isBetween(2e38, 4e38);
                    assertThat(after[2]).isBetween(-4e38, -3e38);
                }
            }
        }
    }

    @Test
    void searchBeatsMinmaxClearlyAtFourBits() {
        int k = 512;
        float[] w = normal(64 * k, 5);
        for (int group : new int[] {32, 128}) {
            double range = loss(w, 64, k, config(4, group, true, Observer.MINMAX));
            double search = loss(w, 64, k, config(4, group, true, Observer.MSE));
            assertThat(search / range).as("group %d", group).isLessThan(0.9);
        }
    }

    private double loss(float[] w, int n, int k, Rtn.Config config) {
        try (var scope = TensorScope.open()) {
            return loss(w, StoredWeights.of(quantize(w, n, k, config, DType.F32, scope)));
        }
    }

    @Test
    void dynamicActivationsStoreOneByteAWeight() {
        float[] w = normal(N * K, 6);
        try (var scope = TensorScope.open()) {
            Rtn.Config config =
                    config(8, 0, true, Activations.DYNAMIC, Observer.MINMAX, Indivisible.REFUSE);
            var int8 = (Linear.Int8) quantize(w, config, DType.F32, scope);
            var grouped =
                    (Linear.Grouped)
                            quantize(w, config(8, 0, true, Observer.MINMAX), DType.F32, scope);
            assertThat(int8.weight().dtype()).isEqualTo(DType.I8);
            assertThat(StoredWeights.of(int8)).containsExactly(StoredWeights.of(grouped));
        }
    }

    private Linear quantize(float[] w, Rtn.Config config, DType type, TensorScope scope) {
        return quantize(w, N, K, config, type, scope);
    }

    private Linear quantize(
            float[] w, int n, int k, Rtn.Config config, DType type, TensorScope scope) {
        var form = new LinearForm.Dense(type);
        var weight = scope.call("cast", scope.tensor(w, n, k), type.code());
        var before = new Linear.Dense(weight, null, form);
        LinearForm after = rtn.outcome(linear(n, k), form, config);
        return rtn.apply(before, after, config, scope);
    }

    private static LinearName linear(int n, int k) {
        return new LinearName("m", 0, Slot.O, n, k, false);
    }

    @Test
    void whatIsQuantizedIsRefusedByItsForm() {
        for (LinearForm form :
                List.of(
                        new LinearForm.Int8(DType.F16),
                        new LinearForm.Grouped(4, 32, false, DType.F16))) {
            refused(
                    () -> rtn.outcome(linear(N, K), form, rtn.defaults()),
                    "already " + form.label(),
                    "start from the dense model");
        }
    }

    @Test
    void indivisibleInputsDoWhatTheRecipeSays() {
        LinearForm dense = new LinearForm.Dense(DType.F16);
        for (Indivisible choice : Indivisible.values()) {
            Rtn.Config config = config(4, 32, true, Activations.NONE, Observer.MSE, choice);
            assertThat(rtn.outcome(linear(N, 64), dense, config))
                    .isEqualTo(new LinearForm.Grouped(4, 32, true, DType.F16));
            switch (choice) {
                case INT8 ->
                        assertThat(rtn.outcome(linear(N, 33), dense, config))
                                .isEqualTo(new LinearForm.Grouped(8, 0, true, DType.F16));
                case DENSE ->
                        assertThat(rtn.outcome(linear(N, 33), dense, config)).isEqualTo(dense);
                case REFUSE ->
                        refused(
                                () -> rtn.outcome(linear(N, 33), dense, config),
                                "group_size 32 does not divide 33 inputs");
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 32, true, NONE, bits is 1",
        "9, 32, true, NONE, bits is 9",
        "0, 32, true, NONE, bits is 0",
        "-4, 32, true, NONE, bits is -4",
        "4, 4, true, NONE, group_size is 4",
        "4, 7, true, NONE, group_size is 7",
        "4, 1025, true, NONE, group_size is 1025",
        "4, 4096, true, NONE, group_size is 4096",
        "4, -1, true, NONE, group_size is -1",
        "4, 0, true, DYNAMIC, 'needs bits 8, group_size 0 and symmetric true, not 4, 0 and true'",
        "8, 32, true, DYNAMIC, 'not 8, 32 and true'",
        "8, 0, false, DYNAMIC, 'not 8, 0 and false'"
    })
    void impossibleConfigurations(
            int bits, int group, boolean symmetric, Activations activations, String part) {
        refused(
                () -> config(bits, group, symmetric, activations, Observer.MSE, Indivisible.INT8),
                part);
    }

    private static void refused(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                .hasMessageContainingAll(parts);
    }
}
