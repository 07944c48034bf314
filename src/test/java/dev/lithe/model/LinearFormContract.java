package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Device;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What every form of a linear layer must do: come back from the disk bit for bit, take the bytes
/// it declares, and compute what its stored numbers say, each row of a batch on its own.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class LinearFormContract {
    private static final int ROWS = 5;

    /// Native kernels take rows in eights, fours, twos and ones.
    private static final int MOST_ROWS = 15;

    private static final ModelSpec SPEC =
            ModelSpec.of(
                    new JsonMapper()
                            .createObjectNode()
                            .put("model_type", "llama")
                            .put("vocab_size", 4)
                            .put("hidden_size", 4)
                            .put("intermediate_size", 4)
                            .put("num_hidden_layers", 1)
                            .put("num_attention_heads", 1),
                    "config.json");

    private static final double FLOAT32_ROUNDING = 2e-6;
    private static final double FLOAT16_ROUNDING = 4e-4;
    private static final double BFLOAT16_ROUNDING = 8e-3;
    private static final double FLOAT8_STEP = 2e-3;
    private static final double BIAS_SIZE = 1;
    private static final String MODULE = "model.layers.0.mlp.down_proj";

    /// One size of one form.
    record Case(LinearForm form, int n, int k, boolean bias) {
        long seed() {
            return 31L * n + k;
        }
    }

    abstract Stream<Case> cases();

    /// The form made from float weights (N, K).
    abstract Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope);

    /// The weights (N, K) that the stored numbers mean, worked out in plain Java.
    abstract double[] meaning(Linear linear, Case a);

    /// How compressed-tensors describes it; null when dense.
    abstract @Nullable Scheme scheme(LinearForm form);

    /// Writes what is stored elsewhere.
    void writeOthers(Linear linear, CheckpointWriter writer) {}

    /// The magnitudes (N, K) that rounding on the way is measured by.
    double[] sizes(Linear linear, Case a) {
        return Arrays.stream(meaning(linear, a)).map(Math::abs).toArray();
    }

    /// The share of those that rounding inputs on the way may cost in the native kernels, besides
    /// that of the first inputs.
    double roundingOnTheWay(LinearForm form) {
        return 0;
    }

    /// What the layer makes of one row of its input before it multiplies; itself unless the form
    /// quantizes activations.
    double[] activation(float[] x, LinearForm form) {
        double[] same = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            same[i] = x[i];
        }
        return same;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void comesBackFromDiskBitForBit(Case a, @TempDir Path temporary) {
        try (var scope = TensorScope.open()) {
            Linear made = make(a, a.n(), scope);
            Path folder = temporary.resolve("model");
            long bytes = write(folder, made);
            long biasBytes = made.bias() == null ? 0 : made.bias().bytes();
            assertThat(bytes - biasBytes).isEqualTo(a.form().bytes(a.n(), a.k()));
            try (var checkpoint = Checkpoint.open(folder)) {
                var name = new LinearName(MODULE, 0, Slot.DOWN, a.n(), a.k(), a.bias());
                Linear read = new LinearReader(checkpoint).read(name, scope);
                assertThat(read.form()).isEqualTo(a.form());
                assertThat(read.tensors()).containsOnlyKeys(made.tensors().keySet());
                made.tensors().forEach((suffix, tensor) -> same(read, suffix, tensor));
                float[] x = input(a, 3);
                assertThat(run(List.of(read), x, 3, a.k()))
                        .isEqualTo(run(List.of(made), x, 3, a.k()));
            }
        }
    }

    private static void same(Linear read, String suffix, Value expected) {
        Value tensor = read.tensors().get(suffix);
        assertThat(tensor.dtype()).as(suffix).isEqualTo(expected.dtype());
        assertThat(tensor.shape()).as(suffix).isEqualTo(expected.shape());
        assertThat(tensor.rawBytes()).as(suffix).isEqualTo(expected.rawBytes());
    }

    private long write(Path folder, Linear linear) {
        try (var writer = CheckpointWriter.open(folder, false)) {
            linear.tensors().forEach((suffix, value) -> writer.write(MODULE + "." + suffix, value));
            long bytes = writer.bytesWritten();
            Map<String, @Nullable Scheme> schemes = new HashMap<>();
            ObjectNode owners = new JsonMapper().createObjectNode();
            linear.form()
                    .modules(MODULE)
                    .forEach((module, form) -> {
                        schemes.put(module, form.scheme());
                        if (form instanceof LinearForm.Shared shared) {
                            owners.put(module, shared.owner());
                        }
                    });
            schemes.put(MODULE, scheme(linear.form()));
            writeOthers(linear, writer);
            ObjectNode config = new JsonMapper().createObjectNode();
            ObjectNode quantization = QuantizationMetadata.describe(schemes);
            quantization.set(QuantizationMetadata.OWNERS, owners);
            config.set("quantization_config", quantization);
            writer.json("config.json", config);
            writer.finish(new JsonMapper().createObjectNode());
            return bytes;
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void computesWhatItsNumbersMean(Case a) {
        try (var scope = TensorScope.open()) {
            Linear linear = make(a, a.n(), scope);
            double[] w = meaning(linear, a);
            double[] sizes = sizes(linear, a);
            float[] bias = linear.bias() == null ? new float[a.n()] : linear.bias().floats();
            float[] x = input(a, ROWS);
            float[] y = run(List.of(linear), x, ROWS, a.k());
            for (int row = 0; row < ROWS; row++) {
                double[] seen =
                        activation(Arrays.copyOfRange(x, row * a.k(), (row + 1) * a.k()), a.form());
                for (int n = 0; n < a.n(); n++) {
                    double sum = bias[n];
                    double size = Math.abs(bias[n]);
                    for (int i = 0; i < a.k(); i++) {
                        sum += w[n * a.k() + i] * seen[i];
                        size += sizes[n * a.k() + i] * Math.abs(seen[i]);
                    }
                    double error = Math.abs(y[row * a.n() + n] - sum);
                    assertThat(error)
                            .as("%s, seed %d, row %d, output %d", a, a.seed(), row, n)
                            .isLessThanOrEqualTo(tolerance(a.form()) * size);
                }
            }
        }
    }

    /// Bounds: half a step of the input's rounding times the weights' magnitudes, and the rounding
    /// of float16 scales. Where inputs are rounded to a byte, that is far below what the weights'
    /// own rounding costs.
    @ParameterizedTest
    @MethodSource("cases")
    void nativeKernelsComputeTheSameOnEveryProcessor(Case a) {
        try (var scope = TensorScope.open()) {
            Linear linear = make(a, a.n(), scope);
            assumeTrue(NativeForms.takes(a.form(), a.k()), "left to libtorch");
            double[] w = meaning(linear, a);
            double[] sizes = sizes(linear, a);
            float[] bias = linear.bias() == null ? new float[a.n()] : linear.bias().floats();
            float[] x = input(a, MOST_ROWS);
            for (Instructions instructions : NativeLibrary.runnable()) {
                float[] y = runNative(instructions, linear, x, MOST_ROWS, a);
                for (int row = 0; row < MOST_ROWS; row++) {
                    float[] seen = Arrays.copyOfRange(x, row * a.k(), (row + 1) * a.k());
                    double[] step = inputSteps(a, seen);
                    for (int n = 0; n < a.n(); n++) {
                        double sum = bias[n];
                        double bound = FLOAT16_ROUNDING * Math.abs(bias[n]);
                        for (int i = 0; i < a.k(); i++) {
                            double weight = w[n * a.k() + i];
                            sum += weight * seen[i];
                            double size = sizes[n * a.k() + i];
                            bound += FLOAT16_ROUNDING * size * Math.abs(seen[i]);
                            bound += size * (step[i] * 0.501 + roundingOnTheWay(a.form()));
                        }
                        assertThat(Math.abs(y[row * a.n() + n] - sum))
                                .as("%s, %s, row %d, output %d", instructions, a, row, n)
                                .isLessThanOrEqualTo(bound);
                    }
                    assertThat(runNative(instructions, linear, seen, 1, a))
                            .as("%s, %s, row %d alone", instructions, a, row)
                            .isEqualTo(Arrays.copyOfRange(y, row * a.n(), (row + 1) * a.n()));
                }
            }
        }
    }

    /// The step to which the native kernels round each input.
    private static double[] inputSteps(Case a, float[] x) {
        double[] steps = new double[x.length];
        int group =
                switch (a.form()) {
                    case LinearForm.Int8 _ -> a.k();
                    case LinearForm.Grouped form ->
                            form.groupSize() == 0 ? a.k() : form.groupSize();
                    case LinearForm.Dense _,
                            LinearForm.Float8 _,
                            LinearForm.Codebook _,
                            LinearForm.Masked _,
                            LinearForm.LowRank _,
                            LinearForm.Shared _ ->
                            0;
                };
        boolean oneByte =
                switch (a.form()) {
                    case LinearForm.Int8 form -> form.dynamicActivations();
                    case LinearForm.Grouped form -> form.bits() <= 4 && group <= 128;
                    case LinearForm.Dense _,
                            LinearForm.Float8 _,
                            LinearForm.Codebook _,
                            LinearForm.Masked _,
                            LinearForm.LowRank _,
                            LinearForm.Shared _ ->
                            false;
                };
        for (int first = 0; group > 0 && first < x.length; first += group) {
            float peak = 0;
            for (int i = first; i < first + group; i++) {
                peak = Math.max(peak, Math.abs(x[i]));
            }
            Arrays.fill(steps, first, first + group, peak / 127 / (oneByte ? 1 : 254));
        }
        return steps;
    }

    private static float[] runNative(
            Instructions instructions, Linear linear, float[] x, int rows, Case a) {
        try (var scope = TensorScope.open()) {
            var forward = new NativeForward(SPEC, instructions, scope);
            forward.addSlot(List.of(linear));
            return forward.project(0, scope.tensor(x, rows, a.k()), a.n(), scope).floats();
        }
    }

    /// The weights as they are laid out for a CUDA device, multiplied on the processor, which takes
    /// all of them but those of 4 bits for tensor cores. No CUDA device has run this.
    @ParameterizedTest
    @MethodSource("cases")
    void whatACudaDeviceGetsMeansTheSame(Case a) {
        try (var scope = TensorScope.open()) {
            Linear linear = make(a, a.n(), scope);
            var parts = new PartList(Device.CPU, scope);
            var products =
                    new CudaLinears.Products(false, CudaLinears.Products.of(Device.CPU).float8());
            var runnable = new RunnableLinears(parts, new CudaLinears(parts, products), scope);
            float[] x = input(a, ROWS);
            float[] y = run(runnable, List.of(linear), x, ROWS, a.k(), scope);
            float[] expected = run(List.of(linear), x, ROWS, a.k());
            double[] sizes = sizes(linear, a);
            for (int i = 0; i < y.length; i++) {
                double size = linear.bias() == null ? 0 : BIAS_SIZE;
                for (int k = 0; k < a.k(); k++) {
                    size += sizes[i % a.n() * a.k() + k] * Math.abs(x[i / a.n() * a.k() + k]);
                }
                assertThat((double) Math.abs(y[i] - expected[i]))
                        .as("%s, row %d, output %d", a, i / a.n(), i % a.n())
                        .isLessThanOrEqualTo(2 * BFLOAT16_ROUNDING * size);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void staysCloseToTheWeightsItWasMadeFrom(Case a) {
        try (var scope = TensorScope.open()) {
            float[] original = weights(a, a.n());
            double[] w = meaning(make(a, a.n(), scope), a);
            double error = 0;
            double size = 0;
            for (int i = 0; i < w.length; i++) {
                error += (w[i] - original[i]) * (w[i] - original[i]);
                size += original[i] * (double) original[i];
            }
            assertThat(Math.sqrt(error / size))
                    .as("relative error of %s", a)
                    .isLessThan(loss(a.form()));
        }
    }

    /// What the kernel of a form may round away, relative to the sum of magnitudes: 4-bit groups
    /// run in bfloat16, other integers may be expanded to float16, and an activation between two of
    /// int8's steps may go to either.
    private static double tolerance(LinearForm form) {
        return switch (form) {
            case LinearForm.Dense _ -> FLOAT32_ROUNDING;
            case LinearForm.Int8 int8 ->
                    int8.dynamicActivations() ? BFLOAT16_ROUNDING : FLOAT32_ROUNDING;
            case LinearForm.Float8 float8 ->
                    float8.dynamicActivations() ? FLOAT8_STEP : FLOAT32_ROUNDING;
            case LinearForm.Codebook _, LinearForm.Masked _ -> FLOAT16_ROUNDING;
            case LinearForm.LowRank factors ->
                    2
                            * Stream.of(factors.left(), factors.right(), factors.base())
                                    .filter(Objects::nonNull)
                                    .mapToDouble(LinearFormContract::tolerance)
                                    .max()
                                    .orElseThrow();
            case LinearForm.Shared shared -> tolerance(shared.of());
            case LinearForm.Grouped grouped ->
                    grouped.bits() == 4 ? BFLOAT16_ROUNDING : FLOAT16_ROUNDING;
        };
    }

    private static double loss(LinearForm form) {
        return switch (form) {
            case LinearForm.Dense _ -> 0.004;
            case LinearForm.Int8 _ -> 0.01;
            case LinearForm.Float8 _ -> 0.03;
            // the share of squares that the weights left out have, at most all
            case LinearForm.Masked masked ->
                    0.01 + (double) (masked.of() - masked.kept()) / masked.of();
            case LinearForm.Codebook codebook -> 2.4 / (1 << codebook.bits());
            case LinearForm.LowRank _ -> 1; // what is left out
            case LinearForm.Shared shared -> loss(shared.of());
            case LinearForm.Grouped grouped -> 1.8 / (1 << grouped.bits());
        };
    }

    @ParameterizedTest
    @MethodSource("cases")
    void aRowDoesNotDependOnItsNeighbours(Case a) {
        try (var scope = TensorScope.open()) {
            List<Linear> linear = List.of(make(a, a.n(), scope));
            float[] x = input(a, ROWS);
            float[] y = run(linear, x, ROWS, a.k());
            double largest = 0;
            for (float value : y) {
                largest = Math.max(largest, Math.abs(value));
            }
            for (int row = 0; row < ROWS; row++) {
                float[] alone =
                        run(
                                linear,
                                Arrays.copyOfRange(x, row * a.k(), (row + 1) * a.k()),
                                1,
                                a.k());
                for (int n = 0; n < a.n(); n++) {
                    assertThat((double) Math.abs(alone[n] - y[row * a.n() + n]))
                            .as("%s, row %d, output %d", a, row, n)
                            .isLessThanOrEqualTo(tolerance(a.form()) * largest);
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void linearsOfASlotRunAsOneOrApart(Case a) {
        try (var scope = TensorScope.open()) {
            Linear first = make(a, a.n(), scope);
            Linear second = make(a, a.n() + 3, scope);
            var dense = new LinearForm.Dense(DType.F32);
            Value weight = scope.tensor(weights(a, 2), 2, a.k());
            Linear third = new Linear.Dense(weight, null, dense);
            float[] x = input(a, 2);
            float[] all = run(List.of(first, second, third), x, 2, a.k());
            int width = 2 * a.n() + 5;
            assertThat(all).hasSize(2 * width);
            for (int row = 0; row < 2; row++) {
                int at = row * width;
                double loss = 10 * tolerance(a.form());
                at = close(all, at, run(List.of(first), x, 2, a.k()), row, a.n(), loss);
                at = close(all, at, run(List.of(second), x, 2, a.k()), row, a.n() + 3, loss);
                close(all, at, run(List.of(third), x, 2, a.k()), row, 2, loss);
            }
        }
    }

    private static int close(float[] all, int at, float[] part, int row, int width, double loss) {
        for (int n = 0; n < width; n++) {
            float alone = part[row * width + n];
            assertThat(all[at + n])
                    .as("row %d, output %d", row, n)
                    .isCloseTo(alone, within((float) loss * Math.max(1, Math.abs(alone))));
        }
        return at + width;
    }

    private Linear make(Case a, int n, TensorScope scope) {
        Value weight = scope.tensor(weights(a, n), n, a.k());
        return make(weight, a.bias() ? scope.tensor(bias(a, n), n) : null, a, scope);
    }

    private static float[] weights(Case a, int n) {
        return normal(a.seed(), n * a.k());
    }

    private static float[] bias(Case a, int n) {
        return normal(a.seed() + 1, n);
    }

    private static float[] input(Case a, int rows) {
        return normal(a.seed() + 2, rows * a.k());
    }

    private static float[] normal(long seed, int count) {
        var random = new Random(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /// y (rows, N) of one slot that holds `linears`.
    private static float[] run(List<Linear> linears, float[] x, int rows, int k) {
        try (var scope = TensorScope.open()) {
            return run(new RunnableLinears(scope), linears, x, rows, k, scope);
        }
    }

    private static float[] run(
            RunnableLinears runnable,
            List<Linear> linears,
            float[] x,
            int rows,
            int k,
            TensorScope scope) {
        runnable.addSlot(linears);
        Value input = scope.tensor(x, 1, rows, k);
        List<Object> arguments = new ArrayList<>(List.of(input, 0));
        arguments.addAll(runnable.arguments());
        return scope.call("project", arguments.toArray()).floats();
    }
}
