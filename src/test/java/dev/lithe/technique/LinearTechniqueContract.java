package dev.lithe.technique;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.Resident;
import dev.lithe.calibrate.InputStatistics;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What every technique of the linear scope must do: keep the promise of `outcome` down to the
/// bytes on disk, give the same numbers each time, leave its input alone, and lose less when it is
/// given more.
///
/// @param <C> the technique's configuration
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class LinearTechniqueContract<C extends Record> {
    private static final String MODULE = "model.layers.0.mlp.down_proj";
    private static final long SEED = 40;
    private static final int APPLICATIONS = 200;
    private static final int ROUNDS = 3;
    private static final long MAX_GROWTH = 20L << 20;

    private float[] hessian = {};

    /// One configuration on weights of one type and shape.
    ///
    /// @param n outputs, the bias's length too
    public record Case<C>(C config, DType type, int n, int k) {
        LinearName name() {
            return new LinearName(MODULE, 0, Slot.DOWN, n, k, true);
        }

        LinearForm.Dense before() {
            return new LinearForm.Dense(type);
        }
    }

    /// The technique under test.
    protected abstract WeightTechnique<C> technique();

    /// Configurations that take every shape; the first, a quick one, is the one that looks for
    /// leaks.
    protected abstract List<C> configurations();

    /// Whether a weight of 0 stays 0 among others; in a group of nothing else it always does.
    protected boolean keepsSingleZeros() {
        return true;
    }

    /// Lists of configurations, each with a larger budget than the one before.
    protected abstract List<List<C>> growingBudgets();

    Stream<Case<C>> cases() {
        return configurations().stream()
                .flatMap(config ->
                        Stream.of(
                                new Case<>(config, DType.F32, 16, 128),
                                new Case<>(config, DType.F16, 7, 37),
                                new Case<>(config, DType.BF16, 33, 96),
                                new Case<>(config, DType.F16, 1, 1)));
    }

    Stream<List<C>> budgets() {
        return growingBudgets().stream();
    }

    @Test
    void isRegisteredUnderItsName() {
        assertThat(technique().name()).matches("[a-z][a-z0-9_]*");
        assertThat(technique().summary()).isNotBlank().hasLineCount(1);
        assertThat(Technique.all())
                .filteredOn(each -> each.name().equals(technique().name()))
                .singleElement()
                .isInstanceOf(technique().getClass());
    }

    @ParameterizedTest
    @MethodSource("cases")
    void keepsItsPromiseDownToTheDisk(Case<C> a, @TempDir Path temporary) {
        try (var scope = TensorScope.open()) {
            Linear result = apply(a, dense(a, gaussian(a), scope), scope);
            assertThat(result.form()).isEqualTo(promise(a));
            Path folder = temporary.resolve("model");
            assertThat(write(folder, result) - result.bias().bytes())
                    .as("bytes on disk")
                    .isEqualTo(result.form().bytes(a.n(), a.k()));
            try (var checkpoint = Checkpoint.open(folder)) {
                Linear read = new LinearReader(checkpoint).read(a.name(), scope);
                assertThat(read.form()).isEqualTo(result.form());
                assertThat(bytes(read)).isEqualTo(bytes(result));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void givesTheSameNumbersEachTimeAndLeavesItsInputAlone(Case<C> a) {
        try (var scope = TensorScope.open()) {
            Linear before = dense(a, gaussian(a), scope);
            Map<String, ByteBuffer> untouched = bytes(before);
            Map<String, ByteBuffer> first = bytes(apply(a, before, scope));
            assertThat(bytes(apply(a, before, scope))).isEqualTo(first);
            assertThat(bytes(before)).isEqualTo(untouched);
            assertThat(first).containsEntry("bias", untouched.get("bias"));
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void nothingStaysNothing(Case<C> a) {
        float[] weights = gaussian(a);
        for (int i = 0; i < weights.length; i++) {
            if (dead(i, a)) {
                weights[i] = 0;
            }
        }
        try (var scope = TensorScope.open()) {
            double[] after = StoredWeights.of(apply(a, dense(a, weights, scope), scope));
            for (int i = 0; i < after.length; i++) {
                assertThat(after[i]).as("%s, weight %d", a, i).isFinite();
                if (keepsSingleZeros() ? dead(i, a) : i / a.k() == 0) {
                    assertThat(after[i]).as("%s, weight %d", a, i).isZero();
                }
            }
        }
    }

    /// Every third column, the first row, and the first 64 inputs of the second row.
    private static boolean dead(int i, Case<?> a) {
        int row = i / a.k();
        int column = i % a.k();
        return row == 0 || column % 3 == 0 || row == 1 && column < 64;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void weightsOfNoSizeAtAllStayFinite(Case<C> a) {
        try (var scope = TensorScope.open()) {
            float[] tiny = gaussian(a);
            for (int i = 0; i < tiny.length; i++) {
                tiny[i] *= 1e-7f;
            }
            double[] after = StoredWeights.of(apply(a, dense(a, tiny, scope), scope));
            for (double weight : after) {
                assertThat(Math.abs(weight)).as(a.toString()).isLessThan(1e-5);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void oneHugeWeightSurvives(Case<C> a) {
        try (var scope = TensorScope.open()) {
            float[] weights = gaussian(a);
            int at = weights.length / 2;
            weights[at] = -30_000;
            double[] after = StoredWeights.of(apply(a, dense(a, weights, scope), scope));
            assertThat(after[at]).as(a.toString()).isBetween(-45_000.0, -15_000.0);
            for (double weight : after) {
                assertThat(weight).as(a.toString()).isFinite();
            }
        }
    }

    @ParameterizedTest
    @MethodSource("budgets")
    void losesNoMoreWithALargerBudget(List<C> growing) {
        double before = Double.POSITIVE_INFINITY;
        for (C config : growing) {
            var a = new Case<>(config, DType.F32, 32, 512);
            try (var scope = TensorScope.open()) {
                float[] weights = gaussian(a);
                double loss =
                        loss(weights, StoredWeights.of(apply(a, dense(a, weights, scope), scope)));
                assertThat(loss).as("%s, seed %d", config, SEED).isLessThanOrEqualTo(before);
                before = loss;
            }
        }
    }

    @Test
    void leaksNothing() throws IOException {
        var a = new Case<>(configurations().getFirst(), DType.F32, 256, 512);
        float[] weights = gaussian(a);
        long[] growth = new long[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            long before = Resident.bytes();
            for (int i = 0; i < APPLICATIONS; i++) {
                try (var scope = TensorScope.open()) {
                    assertThat(apply(a, dense(a, weights, scope), scope).form()).isNotNull();
                }
            }
            growth[round] = Resident.bytes() - before;
        }
        Arrays.sort(growth);
        assertThat(growth[ROUNDS / 2]).as("median growth").isLessThan(MAX_GROWTH);
    }

    private LinearForm promise(Case<C> a) {
        return technique().outcome(a.name(), a.before(), a.config());
    }

    private Linear apply(Case<C> a, Linear before, TensorScope scope) {
        return switch (technique()) {
            case LinearTechnique<C> free -> free.apply(before, promise(a), a.config(), scope);
            case CalibratedLinearTechnique<C> calibrated ->
                    calibrated
                            .apply(before, promise(a), seen(a.k(), scope), a.config(), scope)
                            .linear();
            case BlockTechnique<C> block ->
                    throw new AssertionError(block.name() + " has another contract");
        };
    }

    /// Inputs of equal size that have nothing to do with each other: H = 2 I. Its elements are
    /// kept, for the garbage of making them anew would look like a leak.
    private InputStatistics seen(int k, TensorScope scope) {
        if (hessian.length != k * k) {
            hessian = new float[k * k];
            for (int i = 0; i < k; i++) {
                hessian[i * k + i] = 2;
            }
        }
        return new InputStatistics(scope.tensor(hessian, k, k), k, scope);
    }

    private static Linear dense(Case<?> a, float[] weights, TensorScope scope) {
        int type = a.type().code();
        Value weight = scope.call("cast", scope.tensor(weights, a.n(), a.k()), type);
        Value bias = scope.call("cast", scope.tensor(normal(a.n(), SEED + 1), a.n()), type);
        return new Linear.Dense(weight, bias, a.before());
    }

    private static float[] gaussian(Case<?> a) {
        return normal(a.n() * a.k(), SEED);
    }

    /// `count` normal numbers.
    protected static float[] normal(int count, long seed) {
        var random = new Random(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /// The sum of squared differences.
    protected static double loss(float[] before, double[] after) {
        double loss = 0;
        for (int i = 0; i < before.length; i++) {
            loss += (before[i] - after[i]) * (before[i] - after[i]);
        }
        return loss;
    }

    private static Map<String, ByteBuffer> bytes(Linear linear) {
        Map<String, ByteBuffer> bytes = new HashMap<>();
        linear.tensors()
                .forEach((suffix, tensor) -> {
                    ByteBuffer raw = tensor.rawBytes();
                    bytes.put(suffix, ByteBuffer.allocate(raw.remaining()).put(raw).flip());
                });
        return bytes;
    }

    private static long write(Path folder, Linear linear) {
        try (var writer = CheckpointWriter.open(folder, false)) {
            linear.tensors().forEach((suffix, value) -> writer.write(MODULE + "." + suffix, value));
            long bytes = writer.bytesWritten();
            Map<String, @Nullable Scheme> schemes = new HashMap<>();
            linear.form()
                    .modules(MODULE)
                    .forEach((module, form) -> schemes.put(module, form.scheme()));
            ObjectNode config = new JsonMapper().createObjectNode();
            config.set("quantization_config", QuantizationMetadata.describe(schemes));
            writer.json("config.json", config);
            writer.finish(new JsonMapper().createObjectNode());
            return bytes;
        }
    }
}
