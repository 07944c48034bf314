package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import dev.lithe.Resident;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.SequentialPass;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.DecoderBlock;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.model.Part.Kind;
import dev.lithe.technique.Settings;
import dev.lithe.technique.Settings.Override;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.quantize.AutoRound.Config;
import dev.lithe.technique.quantize.AutoRound.Start;
import dev.lithe.technique.quantize.Rtn.Indivisible;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Gradients against finite differences, and what learning must and must not change.
class AutoRoundTest {
    private static final long SEED = 50;
    private static final int VOCAB = 300;
    private static final int SAMPLES = 7;
    private static final int CONTEXT = 24;
    private static final int APPLICATIONS = 4;
    private static final int ROUNDS = 3;
    private static final long MAX_GROWTH = 20L << 20;

    private final AutoRound autoround = new AutoRound();

    @TempDir private Path folder;

    static Stream<Arguments> models() {
        return Stream.of(
                argumentSet("grouped queries", TinyModel.small()),
                argumentSet(
                        "biases, float16",
                        TinyModel.small().biases().heads(4, 4, 8).dtype(DType.F16)),
                argumentSet(
                        "odd sizes, bfloat16",
                        TinyModel.small().width(60, 172).heads(5, 5, 12).dtype(DType.BF16)),
                argumentSet("tied", TinyModel.small().tied()));
    }

    private static Config config(int bits, int groupSize, boolean symmetric, int iterations) {
        return config(bits, groupSize, symmetric, Start.RTN, iterations, 0, List.of());
    }

    private static Config config(
            int bits,
            int groupSize,
            boolean symmetric,
            Start start,
            int iterations,
            long seed,
            List<String> ignore) {
        return new Config(
                bits,
                groupSize,
                symmetric,
                start,
                iterations,
                2,
                1,
                DType.F32,
                seed,
                Indivisible.INT8,
                List.of(),
                ignore);
    }

    /// The slope of the loss along the gradient is the gradient's length.
    @ParameterizedTest
    @MethodSource("models")
    void gradientsAreTheSlopesOfTheLoss(TinyModel model) throws IOException {
        model.write(folder);
        walk(
                Settings.of(config(3, 0, true, 0)),
                part -> {
                    try (var scope = TensorScope.open()) {
                        if (part.part().kind() == Kind.BLOCK) {
                            checkBlock(part, scope);
                        } else if (!part.part().linears().isEmpty()
                                && part.part().kind() == Kind.OUTPUT) {
                            checkOutput(part, scope);
                        }
                    }
                });
    }

    private static void checkBlock(LoadedPart part, TensorScope scope) {
        var codes = new LearnedCodes(part, Map.of(), scope);
        var error = new BlockError(part, codes, DType.F32, scope);
        Value[] arguments =
                error.arguments(
                        part.inputs().getFirst(), part.targets().getFirst(), codes.weights(scope));
        List<Value> weights = arguments[2].members();
        List<Value> gradients = scope.train("round_gradient", arguments);
        assertThat(gradients).hasSameSizeAs(weights);
        for (int slot = 0; slot < weights.size(); slot++) {
            float[] gradient = gradients.get(slot).floats();
            double[] losses = new double[2];
            for (int side = 0; side < 2; side++) {
                List<Value> moved = new ArrayList<>(weights);
                moved.set(slot, moved(weights.get(slot), gradient, side == 0 ? -1 : 1, scope));
                arguments[2] = scope.list(moved);
                losses[side] = scope.call("round_loss", (Object[]) arguments).floats()[0];
            }
            assertThat((losses[1] - losses[0]) / (2 * STEP))
                    .as("%s, slot %d", part.part().label(), slot)
                    .isCloseTo(length(gradient), within(0.02 * length(gradient)));
        }
    }

    private static void checkOutput(LoadedPart part, TensorScope scope) {
        int d = part.spec().hiddenSize();
        Value original = scope.tensor(random(new Random(SEED), VOCAB * d, 0.3), VOCAB, d);
        Value norm = part.norm(Slot.LM_HEAD);
        Value x = part.inputs().getFirst();
        Value y = part.targets().getFirst();
        Value w = weights(part.linear(part.part().linears().getFirst()), scope);
        float[] gradient = divergence(x, y, w, original, norm, scope).getLast().floats();
        double[] losses = new double[2];
        for (int side = 0; side < 2; side++) {
            Value moved = moved(w, gradient, side == 0 ? -1 : 1, scope);
            losses[side] = divergence(x, y, moved, original, norm, scope).getFirst().floats()[0];
        }
        assertThat((losses[1] - losses[0]) / (2 * STEP))
                .isCloseTo(length(gradient), within(0.02 * length(gradient)));
    }

    private static List<Value> divergence(
            Value x, Value y, Value w, Value original, Value norm, TensorScope scope) {
        return scope.call("round_divergence", x, y, w, original, norm, 1e-5, 0.0, DType.F32.code())
                .members();
    }

    private static final double STEP = 0.01;

    private static Value moved(Value weight, float[] along, int sign, TensorScope scope) {
        float[] moved = weight.floats();
        double length = length(along);
        for (int i = 0; i < moved.length; i++) {
            moved[i] += (float) (sign * STEP * along[i] / length);
        }
        return scope.tensor(moved, weight.shape());
    }

    private static double length(float[] vector) {
        double sum = 0;
        for (float each : vector) {
            sum += (double) each * each;
        }
        return Math.sqrt(sum);
    }

    private static Value weights(Linear linear, TensorScope scope) {
        double[] stored = StoredWeights.of(linear);
        float[] floats = new float[stored.length];
        for (int i = 0; i < stored.length; i++) {
            floats[i] = (float) stored[i];
        }
        return scope.tensor(floats, VOCAB, stored.length / VOCAB);
    }

    /// One step against plain Java: every code moves by the rate and every scale by its own, in the
    /// direction in which the loss falls; zero points stay.
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aStepGoesAgainstTheSignOfEachSlope(boolean symmetric) {
        int n = 3;
        int k = 10;
        int group = 5;
        var random = new Random(SEED);
        try (var scope = TensorScope.open()) {
            float[] u = random(random, n * k, 2);
            float[] scale = random(random, n * k / group, 0.3);
            float[] zero = symmetric ? new float[n * k / group] : new float[] {1, 0, -2, 1, 1, -1};
            float[] gradient = random(random, n * k, 1);
            Value state =
                    scope.list(
                            List.of(
                                    scope.tensor(u, n, k),
                                    scope.tensor(ones(scale.length), n, k / group),
                                    scope.tensor(scale, n, k / group),
                                    scope.tensor(zero, n, k / group)));
            Value forms = scope.list(3, DType.F32.code(), 0);
            Value gradients = scope.list(List.of(scope.tensor(gradient, n, k)));
            long _ = scope.call("round_step", state, forms, gradients, 0.25, 0.125).integer();
            List<float[]> after = state.members().stream().map(Value::floats).toList();
            for (int i = 0; i < u.length; i++) {
                double slope = gradient[i] * scale[i / group];
                double expected = Math.clamp(u[i] - 0.25 * Math.signum(slope), -4.49, 3.49);
                assertThat(after.get(0)[i]).isCloseTo((float) expected, within(1e-6f));
            }
            for (int g = 0; g < scale.length; g++) {
                double inScale = 0;
                for (int i = g * group; i < (g + 1) * group; i++) {
                    inScale += gradient[i] * (Math.rint(u[i]) - zero[g]) * scale[g];
                }
                assertThat(after.get(1)[g]).isEqualTo(1 - 0.125f * (float) Math.signum(inScale));
                assertThat(after.get(3)[g]).isEqualTo(zero[g]);
            }
        }
    }

    private static float[] random(Random random, int count, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return values;
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        Arrays.fill(ones, 1);
        return ones;
    }

    /// What is stored computes what was learned, and that is closer to the original than the start.
    @ParameterizedTest
    @MethodSource("models")
    void theErrorFallsAndIsThatOfWhatIsStored(TinyModel model) throws IOException {
        model.write(folder);
        for (boolean symmetric : new boolean[] {true, false}) {
            List<Double> start = errors(config(2, 0, symmetric, 0));
            List<Double> learned = errors(config(2, 0, symmetric, 40));
            assertThat(learned.getFirst())
                    .as("first block, symmetric %s, seed %d", symmetric, SEED)
                    .isLessThan(0.8 * start.getFirst());
            assertThat(learned.getLast()).isLessThan(start.getLast());
        }
    }

    /// The error of each block, as the stored form runs.
    private List<Double> errors(Config config) throws IOException {
        List<Double> errors = new ArrayList<>();
        walk(
                Settings.of(config),
                part -> {
                    if (part.part().kind() != Kind.BLOCK) {
                        return;
                    }
                    try (var scope = TensorScope.open()) {
                        DecoderBlock block = part.runnable(scope);
                        double sum = 0;
                        for (int i = 0; i < part.inputs().size(); i++) {
                            Value after =
                                    block.output(
                                            block.afterAttention(part.inputs().get(i), scope),
                                            scope);
                            sum += distance(after.floats(), part.targets().get(i).floats());
                        }
                        double mean = sum / SAMPLES / CONTEXT / part.spec().hiddenSize();
                        var codes = new LearnedCodes(part, Map.of(), scope);
                        var error = new BlockError(part, codes, DType.F32, scope);
                        assertThat(error.mean())
                                .as(part.part().label())
                                .isCloseTo(mean, within(0.02 * mean));
                        errors.add(mean);
                    }
                });
        return errors;
    }

    private static double distance(float[] x, float[] y) {
        double sum = 0;
        for (int i = 0; i < x.length; i++) {
            sum += Math.pow((double) x[i] - y[i], 2);
        }
        return sum;
    }

    /// Codes, scales and zero points come back from the stored form as they were learned.
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void storesExactlyWhatWasLearned(boolean symmetric) throws IOException {
        TinyModel.small().dtype(DType.F16).write(folder);
        Map<LinearName, Linear.Dense> dense = new HashMap<>();
        walk(
                null,
                part ->
                        part.part()
                                .linears()
                                .forEach(name -> dense.put(name, (Linear.Dense) part.linear(name))),
                part -> {
                    if (part.part().kind() != Kind.BLOCK) {
                        return;
                    }
                    autoround.apply(part, Settings.of(config(3, 16, symmetric, 0)));
                    try (var scope = TensorScope.open()) {
                        var codes = new LearnedCodes(part, dense, scope);
                        var error = new BlockError(part, codes, DType.F32, scope);
                        boolean _ = new SignDescent(25, 2, 1, SEED).lower(error, SAMPLES);
                        codes.store(part);
                        List<Value> learned = codes.weights(scope).members();
                        int slot = 0;
                        for (Slot each : part.part().slots()) {
                            float[] expected = learned.get(slot++).floats();
                            int at = 0;
                            for (Linear linear : part.linears(each)) {
                                for (double weight : StoredWeights.of(linear)) {
                                    assertThat((float) weight).isEqualTo(expected[at++]);
                                }
                            }
                            assertThat(at).isEqualTo(expected.length);
                        }
                    }
                });
    }

    @ParameterizedTest
    @EnumSource(Start.class)
    void theSameSeedGivesTheSameBytes(Start start) throws IOException {
        TinyModel.small().biases().write(folder);
        List<String> first = bytes(config(2, 16, true, start, 15, 1, List.of()));
        assertThat(bytes(config(2, 16, true, start, 15, 1, List.of()))).isEqualTo(first);
        assertThat(bytes(config(2, 16, true, start, 15, 2, List.of()))).isNotEqualTo(first);
    }

    private List<String> bytes(Config config) throws IOException {
        List<String> bytes = new ArrayList<>();
        walk(
                Settings.of(config),
                part ->
                        part.part()
                                .linears()
                                .forEach(name ->
                                        part.linear(name)
                                                .tensors()
                                                .values()
                                                .forEach(each ->
                                                        bytes.add(
                                                                Arrays.toString(each.floats())))));
        return bytes;
    }

    @Test
    void learnsOnlyItsOwnAndEachLinearAsItsOverrideSays() throws IOException {
        TinyModel.small().biases().write(folder);
        List<String> ignore = List.of("lm_head", "v_proj", "up_proj");
        Config common = config(3, 16, true, Start.RTN, 5, 0, ignore);
        Config other = config(5, 8, false, Start.RTN, 5, 0, ignore);
        var settings = new Settings<>(common, List.of(new Override<>("o_proj", other)));
        Map<String, Linear> before = new HashMap<>();
        Map<String, Object> weights = new HashMap<>();
        walk(
                settings,
                part ->
                        part.part()
                                .linears()
                                .forEach(name -> {
                                    before.put(name.module(), part.linear(name));
                                }),
                part -> {
                    for (LinearName name : part.part().linears()) {
                        Linear linear = part.linear(name);
                        String module = name.module();
                        if (name.slot() == Slot.EMBEDDING
                                || ignore.stream().anyMatch(module::endsWith)) {
                            assertThat(linear).as(module).isSameAs(before.get(module));
                            assertThat(linear.form()).isEqualTo(new LinearForm.Dense(DType.F32));
                        } else if (name.slot() == Slot.O) {
                            assertThat(linear.form())
                                    .isEqualTo(new LinearForm.Grouped(5, 8, false, DType.F32));
                        } else {
                            assertThat(linear.form())
                                    .isEqualTo(new LinearForm.Grouped(3, 16, true, DType.F32));
                        }
                        assertThat(linear.form())
                                .as(module)
                                .isEqualTo(
                                        autoround.targets(common).include(name)
                                                ? autoround.outcome(
                                                        name,
                                                        before.get(module).form(),
                                                        settings.of(name))
                                                : before.get(module).form());
                        if (linear.bias() != null) {
                            weights.put(module, linear.bias().floats());
                        }
                    }
                });
        assertThat(weights).hasSize(14);
    }

    /// Linears that an earlier stage stored in other forms take part as they are.
    @Test
    void worksAroundLinearsThatAreQuantizedAlready() throws IOException {
        TinyModel.small().write(folder);
        var rtn = new Rtn();
        var int8 =
                new Rtn.Config(
                        8,
                        0,
                        true,
                        Rtn.Activations.DYNAMIC,
                        Rtn.Observer.MSE,
                        Indivisible.INT8,
                        List.of(),
                        List.of());
        walk(
                Settings.of(config(2, 16, true, Start.RTN, 20, 0, List.of("q_proj", "down_proj"))),
                part -> {
                    for (LinearName name : part.part().linears()) {
                        if (List.of(Slot.DOWN).contains(name.slot())
                                || name.module().endsWith("q_proj")) {
                            Linear before = part.linear(name);
                            try (var step = TensorScope.open()) {
                                LinearForm after = rtn.outcome(name, before.form(), int8);
                                part.set(name, rtn.apply(before, after, int8, step));
                            }
                        }
                    }
                },
                part -> {
                    for (LinearName name : part.part().linears()) {
                        boolean kept = name.slot() == Slot.DOWN || name.module().endsWith("q_proj");
                        if (kept) {
                            assertThat(part.linear(name)).isInstanceOf(Linear.Int8.class);
                        } else if (name.slot() != Slot.EMBEDDING) {
                            assertThat(part.linear(name)).isInstanceOf(Linear.Grouped.class);
                        }
                    }
                });
    }

    @Test
    void refusesWhatCannotBe() {
        refused(() -> config(1, 32, true, 10), "bits is 1; choose 2 to 8");
        refused(() -> config(4, 5, true, 10), "group_size is 5");
        refused(() -> config(4, 32, true, -1), "iterations is -1; choose 0 to 100000");
        refused(() -> with(0, 1, DType.F32), "batch is 0; choose 1 to 1024");
        refused(() -> with(8, -0.5, DType.F32), "scale_rate is -0.5; choose 0 to 10");
        refused(() -> with(8, Double.NaN, DType.F32), "scale_rate is NaN");
        refused(() -> with(8, 1, DType.F16), "precision is float16; choose bfloat16 or float32");
        var name = new LinearName("a", 0, Slot.O, 4, 37, false);
        var refusing =
                new Config(
                        4,
                        32,
                        true,
                        Start.RTN,
                        1,
                        1,
                        1,
                        DType.F32,
                        0,
                        Indivisible.REFUSE,
                        List.of(),
                        List.of());
        refused(
                () -> autoround.outcome(name, new LinearForm.Dense(DType.F32), refusing),
                "group_size 32 does not divide 37 inputs");
        refused(
                () -> autoround.outcome(name, new LinearForm.Int8(DType.F32), refusing),
                "quantizing twice");
    }

    private static Config with(int batch, double scaleRate, DType precision) {
        return new Config(
                4,
                32,
                true,
                Start.RTN,
                10,
                batch,
                scaleRate,
                precision,
                0,
                Indivisible.INT8,
                List.of(),
                List.of());
    }

    private static void refused(Runnable work, String reason) {
        assertThatThrownBy(work::run)
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason)
                .satisfies(e -> assertThat(e.getMessage()).hasLineCount(1));
    }

    @Test
    void leaksNothing() throws IOException {
        TinyModel.small().width(64, 128).write(folder);
        Settings<Config> settings = Settings.of(config(3, 16, false, Start.GPTQ, 10, 0, List.of()));
        long[] growth = new long[ROUNDS];
        walk(settings, _ -> {});
        for (int round = 0; round < ROUNDS; round++) {
            long before = Resident.bytes();
            for (int i = 0; i < APPLICATIONS; i++) {
                walk(settings, _ -> {});
            }
            growth[round] = Resident.bytes() - before;
        }
        Arrays.sort(growth);
        assertThat(growth[ROUNDS / 2]).as("median growth").isLessThan(MAX_GROWTH);
    }

    private void walk(Settings<Config> settings, Consumer<LoadedPart> after) throws IOException {
        walk(settings, _ -> {}, after);
    }

    /// Carries windows through the model in the folder, part by part.
    private void walk(
            @Nullable Settings<Config> settings,
            Consumer<LoadedPart> before,
            Consumer<LoadedPart> after)
            throws IOException {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            var reader = new LinearReader(checkpoint);
            try (var pass = new SequentialPass(windows(), spec, true, null)) {
                for (Part part : Architecture.parts(spec)) {
                    try (var loaded = new LoadedPart(spec, part, pass);
                            var step = TensorScope.open()) {
                        part.norms()
                                .forEach((slot, norm) ->
                                        loaded.setNorm(slot, checkpoint.load(norm, step)));
                        part.linears().forEach(name -> loaded.set(name, reader.read(name, step)));
                        pass.reference(loaded);
                        before.accept(loaded);
                        if (settings != null) {
                            autoround.apply(loaded, settings);
                        }
                        after.accept(loaded);
                        pass.advance(loaded);
                    }
                }
            }
        }
    }

    private static CalibrationSet windows() {
        var random = new Random(SEED);
        long[][] windows = new long[SAMPLES][];
        for (int i = 0; i < SAMPLES; i++) {
            windows[i] = random.longs(CONTEXT, 0, VOCAB).toArray();
        }
        return new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
    }
}
