package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.RawTensor;
import dev.lithe.Resident;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.calibrate.Workbench;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.distill.Heal.Config;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class HealTest extends ModelTechniqueContract<Config> {
    private static final int CONTEXT = 20;

    private final Heal heal = new Heal();

    @Override
    protected ModelTechnique<Config> technique() {
        return heal;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                config(3, 2, Loss.KL),
                config(3, 0, Loss.MIXED),
                new Config(3, Loss.REVERSE_KL, 2, new Schedule(2, 2, 1e-2, 1, DType.BF16), ""));
    }

    private static Config config(int steps, int rank, Loss loss) {
        double rate = rank == 0 ? 1e-3 : 1e-2;
        return new Config(rank, loss, 1, new Schedule(steps, 4, rate, 0, DType.F32), "");
    }

    static CalibrationSet windows(int count, long seed) {
        var random = new Random(seed);
        long[][] windows = new long[count][];
        for (int i = 0; i < count; i++) {
            windows[i] = random.longs(CONTEXT, 0, 300).toArray();
        }
        return new CalibrationSet(new TextFile("none", "", ""), windows, seed);
    }

    /// A model whose third block broke, and the one it was.
    private static final class Pair implements AutoCloseable {
        final Checkpoint student;
        final Checkpoint teacher;

        Pair(Path folder, TinyModel model, Map<String, RawTensor> broken) throws IOException {
            this.teacher = Checkpoint.open(model.write(folder.resolve("teacher")));
            Path damaged = model.write(folder.resolve("student"), model.config(), broken);
            this.student = Checkpoint.open(damaged);
        }

        static Pair of(Path folder) throws IOException {
            Map<String, RawTensor> tensors = model().tensors();
            Map<String, RawTensor> other = model().seed(9).tensors();
            tensors.replaceAll((name, was) -> name.contains("layers.2.") ? other.get(name) : was);
            return new Pair(folder, model(), tensors);
        }

        WholeModel open(@Nullable Path unfinished, Workbench.StepListener listener) {
            var bench = new Workbench(teacher, unfinished, listener);
            return WholeModel.open(student, windows(64, 3), bench);
        }

        WholeModel open() {
            return open(null, (_, _, _) -> {});
        }

        /// The loss of `model` on windows that no training saw.
        double loss(WholeModel model) {
            try (var step = TensorScope.open();
                    WholeModel original = WholeModel.open(teacher, null)) {
                FlatModel pupil = FlatModel.frozen(model, CONTEXT, DType.F32, step);
                FlatModel oracle = FlatModel.frozen(original, CONTEXT, DType.F32, step);
                return new Gradient(pupil, oracle, Loss.KL.at(1), CONTEXT, step)
                        .loss(windows(8, 99).windows(), null);
            }
        }

        @Override
        public void close() {
            student.close();
            teacher.close();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 4})
    void theLossFalls(int rank, @TempDir Path folder) throws IOException {
        try (Pair pair = Pair.of(folder);
                WholeModel before = pair.open();
                WholeModel made = heal.apply(before, config(60, rank, Loss.KL))) {
            assertThat(pair.loss(made)).isLessThan(0.9 * pair.loss(before));
        }
    }

    /// The loop's forward pass is the one that runs models.
    @ParameterizedTest
    @MethodSource("models")
    void computesWhatTheDecoderComputes(TinyModel model, @TempDir Path folder) throws IOException {
        model.write(folder);
        long[] ids = windows(1, 8).windows()[0];
        try (var scope = TensorScope.open();
                Checkpoint source = Checkpoint.open(folder);
                WholeModel whole = WholeModel.open(source, null);
                Decoder decoder = Decoder.open(folder)) {
            FlatModel flat = FlatModel.frozen(whole, CONTEXT, DType.F32, scope);
            Value window = scope.tensor(ids, 1, CONTEXT);
            KvCache cache = decoder.newCache(1, CONTEXT, scope);
            requireEqual(
                    flat.logits(window, scope), decoder.forward(window, 0, cache, true, scope));
        }
    }

    private static void requireEqual(Value logits, Value expected) {
        float[] found = logits.floats();
        float[] right = expected.floats();
        assertThat(found).hasSameSizeAs(right);
        for (int i = 0; i < right.length; i++) {
            assertThat(found[i]).isCloseTo(right[i], within(1e-4f));
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void anAdapterMergesExactly(TinyModel model, @TempDir Path folder) throws IOException {
        model.write(folder);
        try (var scope = TensorScope.open();
                Checkpoint source = Checkpoint.open(folder);
                WholeModel before = WholeModel.open(source, windows(64, 3));
                WholeModel made = before.reshaped(before.config())) {
            FlatModel flat = FlatModel.trained(before, 4, 1, 0, CONTEXT, DType.F32, scope);
            List<Value> learned = new ArrayList<>();
            var random = new Random(6);
            for (Value leaf : flat.leaves().members()) {
                float[] numbers = new float[(int) leaf.elements()];
                for (int k = 0; k < numbers.length; k++) {
                    numbers[k] = (float) (0.1 * random.nextGaussian());
                }
                learned.add(scope.tensor(numbers, leaf.shape()));
            }
            Value _ = scope.call("train_copy", flat.leaves(), scope.list(learned));
            new Rebuilding(flat, false).into(made, before);
            Value ids = scope.tensor(windows(1, 8).windows()[0], 1, CONTEXT);
            FlatModel merged = FlatModel.frozen(made, CONTEXT, DType.F32, scope);
            FlatModel untouched = FlatModel.frozen(before, CONTEXT, DType.F32, scope);
            Value logits = flat.logits(ids, scope);
            assertThat(logits.floats()).isNotEqualTo(untouched.logits(ids, scope).floats());
            requireEqual(merged.logits(ids, scope), logits);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 4})
    void prunedWeightsStayPruned(int rank, @TempDir Path folder) throws IOException {
        Map<String, RawTensor> tensors = model().tensors();
        String pruned = "model.layers.1.mlp.down_proj.weight";
        float[] weights = tensors.get(pruned).floats();
        for (int i = 0; i < weights.length; i += 2) {
            weights[i] = 0;
        }
        tensors.put(pruned, RawTensor.of(DType.F32, weights, 32, 64));
        try (Pair pair = new Pair(folder, model(), tensors);
                WholeModel before = pair.open();
                WholeModel made = heal.apply(before, config(10, rank, Loss.KL))) {
            LinearName down = made.blocks().get(1).part().linears().getLast();
            float[] after = made.blocks().get(1).linear(down).tensors().get("weight").floats();
            assertThat(after).isNotEqualTo(weights);
            for (int i = 0; i < after.length; i += 2) {
                assertThat(after[i]).isZero();
            }
        }
    }

    static Stream<Arguments> forms() {
        return Stream.of("shared", "thin", "pruned", "masked", "int8", "int4", "codebook")
                .map(Arguments::of);
    }

    /// A form as it is written keeps its kind, and runs as it was trained.
    @ParameterizedTest
    @MethodSource("forms")
    void formsLearn(String form, @TempDir Path folder) throws IOException {
        try (Pair pair = Pair.of(folder);
                WholeModel dense = pair.open();
                WholeModel before = Forms.of(form, dense);
                WholeModel made = heal.apply(before, config(40, 4, Loss.KL))) {
            assertThat(pair.loss(made)).isLessThan(0.95 * pair.loss(before));
            for (int i = 0; i < before.blocks().size(); i++) {
                for (LinearName name : before.blocks().get(i).part().linears()) {
                    LinearForm was = before.blocks().get(i).linear(name).form();
                    assertThat(made.blocks().get(i).linear(name).form())
                            .isEqualTo(Rebuilding.outcome(name, was, 4));
                }
            }
            requireRuns(made);
        }
    }

    /// Its blocks as the forward pass runs them agree with the loop's.
    private static void requireRuns(WholeModel made) {
        try (var scope = TensorScope.open()) {
            FlatModel flat = FlatModel.frozen(made, CONTEXT, DType.F32, scope);
            Value ids = scope.tensor(windows(1, 8).windows()[0], 1, CONTEXT);
            List<Object> rest = new ArrayList<>(flat.arguments());
            Value x = scope.call("train_embed", ids, rest.get(0), rest.get(3));
            for (int i = 0; i < made.blocks().size(); i++) {
                List<Object> arguments = new ArrayList<>(List.of(x, i));
                arguments.addAll(rest);
                x = scope.call("train_through", arguments.toArray());
                var block = made.blocks().get(i).runnable(scope);
                Value y =
                        block.output(
                                block.afterAttention((Value) arguments.getFirst(), scope), scope);
                assertThat(distance(x, y)).isLessThan(0.02);
            }
        }
    }

    private static double distance(Value one, Value other) {
        float[] a = one.floats();
        float[] b = other.floats();
        double square = 0;
        double size = 0;
        for (int i = 0; i < a.length; i++) {
            square += (a[i] - b[i]) * (double) (a[i] - b[i]);
            size += b[i] * (double) b[i];
        }
        return Math.sqrt(square / size);
    }

    /// With rank 0 a weight that several blocks share stays one.
    @Test
    void sharedWeightsStayOne(@TempDir Path folder) throws IOException {
        try (Pair pair = Pair.of(folder);
                WholeModel dense = pair.open();
                WholeModel before = Forms.shared(dense, 2, 0);
                WholeModel made = heal.apply(before, config(30, 0, Loss.KL))) {
            assertThat(pair.loss(made)).isLessThan(pair.loss(before));
            LinearName first = made.blocks().getFirst().part().linears().getFirst();
            LinearName second = made.blocks().get(1).part().linears().getFirst();
            var shared = (Linear.Shared) made.blocks().get(1).linear(second);
            assertThat(shared.form().owner()).isEqualTo(first.module());
            assertThat(((Linear.Dense) shared.of()).weight().floats())
                    .isEqualTo(
                            ((Linear.Dense) made.blocks().getFirst().linear(first))
                                    .weight()
                                    .floats());
        }
    }

    /// What a crash in the middle of a step leaves is a snapshot from which the same comes about.
    @ParameterizedTest
    @ValueSource(ints = {0, 4})
    void goesOnExactlyWhereItBrokeOff(int rank, @TempDir Path folder) throws IOException {
        Config config = config(40, rank, Loss.MIXED);
        Path file = folder.resolve("step.unfinished");
        List<String> steps = new ArrayList<>();
        try (Pair pair = Pair.of(folder);
                WholeModel whole = pair.open();
                WholeModel right = heal.apply(whole, config);
                WholeModel cut =
                        pair.open(
                                file,
                                (done, _, _) -> {
                                    if (done == 25) {
                                        throw LitheException.of(Fault.INTERNAL, "pulled the plug");
                                    }
                                });
                WholeModel again = pair.open(file, (done, _, _) -> steps.add("" + done))) {
            assertThatThrownBy(() -> heal.apply(cut, config)).hasMessage("pulled the plug");
            assertThat(file).isRegularFile();
            try (WholeModel made = heal.apply(again, config)) {
                assertThat(steps).startsWith("25").hasSize(16);
                assertThat(weights(made)).isEqualTo(weights(right));
            }
        }
    }

    private static List<Float> weights(WholeModel model) {
        List<Float> weights = new ArrayList<>();
        for (LoadedPart block : model.blocks()) {
            for (LinearName name : block.part().linears()) {
                for (float weight : block.linear(name).tensors().get("weight").floats()) {
                    weights.add(weight);
                }
            }
        }
        return weights;
    }

    @Test
    void memoryDoesNotGrow(@TempDir Path folder) throws IOException {
        long[] bytes = new long[301];
        Config config = new Config(4, Loss.KL, 1, new Schedule(300, 16, 1e-3, 0, DType.F32), "");
        try (Pair pair = Pair.of(folder);
                WholeModel before = pair.open(null, (done, _, _) -> note(bytes, done));
                WholeModel _ = heal.apply(before, config)) {
            int last = 300;
            while (bytes[last] == 0) {
                last--; // it stopped early
            }
            assertThat(last).isGreaterThan(100);
            // Java's heap may take its share; a step's recording, kept, would take over 1 MB
            assertThat(bytes[last] - bytes[last / 2]).isLessThan(64 << 20);
        }
    }

    private static void note(long[] bytes, int done) {
        try {
            bytes[done] = Resident.bytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void otherTokensHaveNoTeacher(@TempDir Path folder) throws IOException {
        try (Pair pair = Pair.of(folder);
                WholeModel before = pair.open()) {
            Path tokenizer = folder.resolve("teacher").resolve("tokenizer.json");
            Files.writeString(tokenizer, Files.readString(tokenizer) + " ");
            assertThatThrownBy(() -> heal.apply(before, config(2, 0, Loss.KL)))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("cannot be its teacher; put the stage before");
            try (WholeModel made = heal.apply(before, config(2, 0, Loss.CE))) {
                assertThat(made.spec()).isEqualTo(before.spec());
            }
        }
    }

    @Test
    void refusesWhatCannotBe() {
        var q = new LinearName("q", 0, LinearName.Slot.QKV, 32, 8, false);
        var int8 = new LinearForm.Int8(DType.F32, false);
        var dense = new LinearForm.Dense(DType.F32);
        assertThatThrownBy(() -> Rebuilding.outcome(q, int8, 0))
                .hasMessageContaining("int8 per channel, weights only, whose weights cannot be");
        assertThatThrownBy(() -> Rebuilding.outcome(q, int8, 9))
                .hasMessageContaining("rank is 9, and a 32 x 8 matrix has at most 8");
        assertThatThrownBy(() -> Rebuilding.outcome(q, new LinearForm.Shared(dense, "p"), 4))
                .hasMessageContaining("choose rank 0");
        assertThatThrownBy(() -> Rebuilding.outcome(q, new LinearForm.LowRank(int8, 4), 4))
                .hasMessageContaining("factors of linears are already int8");
        assertThatThrownBy(() -> config(0, 4, Loss.KL)).hasMessageContaining("steps is 0");
        assertThatThrownBy(() -> config(1, -1, Loss.KL)).hasMessageContaining("rank is -1");
        assertThatThrownBy(() -> new Schedule(1, 1, 0, 0, DType.F32))
                .hasMessageContaining("learning_rate is 0.0");
        assertThatThrownBy(() -> new Config(1, Loss.KL, 0, new Schedule(1, 1, 1, 0, DType.F32), ""))
                .hasMessageContaining("temperature is 0.0");
    }
}
