package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.Decoder;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Gradients of every loss against differences of the loss itself, in float64.
class GradientTest {
    private static final long SEED = 17;
    private static final int CONTEXT = 6;
    private static final int VOCABULARY = 40;
    private static final int PLACES = 1;
    private static final float STEP = 1e-3f;
    private static final DType F64 = DType.F64;

    @TempDir private Path folder;

    private static TinyModel tiny() {
        return shaped(TinyModel.small());
    }

    static Stream<Arguments> cases() {
        List<Arguments> cases = new ArrayList<>();
        for (Loss loss : Loss.values()) {
            for (int rank : List.of(0, 3)) {
                cases.add(Arguments.of(loss.at(2), rank, tiny().biases()));
            }
        }
        cases.add(Arguments.of(new Objective(0.1, 1, 0.3), 0, tiny().tied()));
        cases.add(Arguments.of(new Objective(0.9, 1, 0), 2, tiny().tied()));
        cases.add(Arguments.of(new Objective(0, 1, 0.3, 0.7, 0, 0), 0, tiny().tied()));
        cases.add(Arguments.of(new Objective(0, 1, 1, 2, 0, 0), 2, tiny().layers(3)));
        cases.add(Arguments.of(new Objective(0, 2, 0.3, 0, 0, 5), 0, tiny()));
        cases.add(Arguments.of(new Objective(1, 2, 0, 0, 0, 5), 2, tiny()));
        cases.add(Arguments.of(new Objective(0.4, 1, 0, 0, 0, 5), 0, tiny()));
        for (TinyModel model : architectures().toList()) {
            cases.add(Arguments.of(new Objective(0.1, 1, 0.3), 0, model));
            cases.add(Arguments.of(new Objective(0.1, 1, 0.3), 2, model));
        }
        return cases.stream();
    }

    /// One of each, with windows shorter than the texts.
    static Stream<TinyModel> architectures() {
        return Stream.of("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text")
                .map(type -> shaped(TinyModel.of(type)).heads(4, 2, 8).window(3));
    }

    private static TinyModel shaped(TinyModel model) {
        return model.vocab(VOCABULARY).width(16, 24).heads(4, 2, 4);
    }

    /// A student and its teacher, each a list of float64 tensors.
    ///
    /// @param trained indices of the student's that are
    private record Case(
            List<Value> student,
            List<Integer> trained,
            FlatModel pupil,
            List<Value> teacher,
            FlatModel master,
            List<Value> top,
            Value objective,
            Value ids) {
        /// What kernels take; the student's tensors are leaves where `learning`.
        List<Value> arguments(TensorScope scope, boolean learning) {
            List<Value> arguments = new ArrayList<>(List.of(ids));
            arguments.addAll(model(pupil, student, learning ? trained : List.of(), scope));
            arguments.addAll(model(master, teacher, List.of(), scope));
            arguments.add(scope.list(top));
            arguments.add(objective);
            return arguments;
        }

        private static List<Value> model(
                FlatModel flat, List<Value> tensors, List<Integer> trained, TensorScope scope) {
            Value rotary = scope.list(doubles(flat.arguments().get(2).members(), scope));
            return List.of(
                    scope.list(copies(tensors, trained, scope)),
                    flat.arguments().get(1),
                    scope.list(copies(rotary.members(), List.of(), scope)),
                    flat.arguments().get(3));
        }
    }

    private static List<Value> copies(
            List<Value> values, List<Integer> trained, TensorScope scope) {
        long[] flags = new long[values.size()];
        trained.forEach(index -> flags[index] = 1);
        return scope.train("train_masters", scope.list(values), scope.tensor(flags, flags.length));
    }

    private static List<Value> doubles(List<Value> values, TensorScope scope) {
        return values.stream().map(value -> scope.call("cast", value, F64.code())).toList();
    }

    private static List<Integer> trained(FlatModel flat) {
        int count = flat.arguments().getFirst().members().size();
        return IntStream.range(0, count).filter(flat::isTrained).boxed().toList();
    }

    /// Adapters whose B is not 0, which would leave A without a gradient.
    private static List<Value> lively(FlatModel flat, Random random, TensorScope scope) {
        List<Value> lively = new ArrayList<>();
        List<Value> tensors = flat.arguments().getFirst().members();
        for (int i = 0; i < tensors.size(); i++) {
            float[] numbers = tensors.get(i).floats();
            for (int k = 0; flat.isTrained(i) && k < numbers.length; k++) {
                numbers[k] += (float) (0.2 * random.nextGaussian());
            }
            lively.add(scope.tensor(numbers, tensors.get(i).shape()));
        }
        return lively;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void agreesWithDifferences(Objective objective, int rank, TinyModel model) throws IOException {
        try (Checkpoint pupil = Checkpoint.open(model.write(folder.resolve("student")));
                WholeModel student = WholeModel.open(pupil, null)) {
            check(student, objective, rank, model);
        }
    }

    /// Linears that are two thin ones, that several blocks share, that were pruned.
    @ParameterizedTest
    @ValueSource(ints = {0, 2})
    void formsLearnToo(int rank) throws IOException {
        TinyModel model = tiny().layers(3).biases();
        try (Checkpoint pupil = Checkpoint.open(model.write(folder.resolve("student")));
                WholeModel dense = WholeModel.open(pupil, null);
                WholeModel shared = Forms.shared(dense, 1, 2);
                WholeModel sharedWhole = Forms.shared(dense, 2, 0);
                WholeModel thin = Forms.thin(dense, 3);
                WholeModel pruned = Forms.pruned(dense)) {
            check(shared, Loss.MIXED.at(1), rank, model);
            check(thin, Loss.MIXED.at(1), rank, model);
            check(pruned, Loss.MIXED.at(1), rank, model);
            if (rank == 0) {
                check(sharedWhole, Loss.MIXED.at(1), rank, model);
            }
        }
    }

    /// A student narrower than its teacher learns projections.
    @Test
    void projectionsLearn() throws IOException {
        TinyModel model = tiny().layers(3);
        TinyModel narrow = tiny().width(8, 24);
        try (Checkpoint pupil = Checkpoint.open(narrow.write(folder.resolve("student")));
                WholeModel student = WholeModel.open(pupil, null)) {
            check(student, new Objective(0, 1, 0.3, 0.7, 0, 0), 0, model);
        }
    }

    private void check(WholeModel student, Objective objective, int rank, TinyModel teaching)
            throws IOException {
        Path written = teaching.seed(5).write(folder.resolve("teacher"));
        var random = new Random(SEED);
        try (var scope = TensorScope.open();
                Checkpoint master = Checkpoint.open(written);
                WholeModel teacher = WholeModel.open(master, null)) {
            int width = objective.hidden() > 0 ? teacher.spec().hiddenSize() : 0;
            FlatModel pupil = FlatModel.trained(student, rank, SEED, width, CONTEXT, F64, scope);
            FlatModel frozen = FlatModel.frozen(teacher, CONTEXT, F64, scope);
            Value ids =
                    scope.tensor(random.longs(2 * CONTEXT, 0, VOCABULARY).toArray(), 2, CONTEXT);
            List<Value> told = doubles(frozen.arguments().getFirst().members(), scope);
            var problem =
                    new Case(
                            doubles(lively(pupil, random, scope), scope),
                            trained(pupil),
                            pupil,
                            told,
                            frozen,
                            List.of(scope.call("empty", new long[] {0})),
                            objective.numbers(scope),
                            ids);
            if (objective.teacherTop() > 0) {
                List<Object> asked = new ArrayList<>(List.of(ids));
                asked.addAll(Case.model(frozen, told, List.of(), scope));
                asked.add(objective.temperature());
                asked.add(objective.teacherTop());
                List<Value> top = scope.call("train_teacher_top", asked.toArray()).members();
                problem =
                        new Case(
                                problem.student(),
                                problem.trained(),
                                pupil,
                                told,
                                frozen,
                                top,
                                problem.objective(),
                                ids);
            }
            compare(problem, random, scope);
        }
    }

    private static void compare(Case problem, Random random, TensorScope scope) {
        List<Value> arguments = problem.arguments(scope, true);
        List<Value> tensors = arguments.get(1).members();
        Value leaves = scope.list(problem.trained().stream().map(tensors::get).toList());
        Value sum = scope.list(scope.train("train_zeros", leaves));
        arguments.addAll(List.of(scope.tensor(new float[] {1}, 1), leaves, sum));
        double loss =
                scope.train("train_gradient", arguments.toArray(Value[]::new))
                        .getFirst()
                        .floats()[0];
        assertThat(loss).isCloseTo(loss(problem, scope), within(1e-5 * loss));
        for (int i = 0; i < problem.trained().size(); i++) {
            compare(problem, problem.trained().get(i), sum.members().get(i), random);
        }
    }

    private static void compare(Case problem, int index, Value gradient, Random random) {
        float[] expected = gradient.floats();
        double scale = 0;
        for (float number : expected) {
            scale = Math.max(scale, Math.abs(number));
        }
        for (int place = 0; place < PLACES; place++) {
            int element = random.nextInt(expected.length);
            float[] numbers = problem.student().get(index).floats();
            float up = numbers[element] + STEP;
            float down = numbers[element] - STEP;
            double slope =
                    (moved(problem, index, element, up) - moved(problem, index, element, down))
                            / ((double) up - down);
            assertThat(slope)
                    .as("tensor %d, element %d, seed %d", index, element, SEED)
                    .isCloseTo(expected[element], within(1e-3 * scale + 1e-6));
        }
    }

    private static double moved(Case problem, int index, int element, float to) {
        try (var scope = TensorScope.open()) {
            List<Value> changed = new ArrayList<>(problem.student());
            float[] numbers = changed.get(index).floats();
            numbers[element] = to;
            Value tensor = scope.tensor(numbers, changed.get(index).shape());
            changed.set(index, scope.call("cast", tensor, F64.code()));
            return loss(
                    new Case(
                            changed,
                            problem.trained(),
                            problem.pupil(),
                            problem.teacher(),
                            problem.master(),
                            problem.top(),
                            problem.objective(),
                            problem.ids()),
                    scope);
        }
    }

    private static double loss(Case problem, TensorScope scope) {
        return scope.call("train_loss", problem.arguments(scope, false).toArray()).number();
    }

    /// The loss by which a block learns alone.
    @ParameterizedTest
    @ValueSource(ints = {0, 2})
    void blocksAloneAgreeToo(int rank) throws IOException {
        var random = new Random(SEED);
        try (var scope = TensorScope.open();
                Checkpoint source = Checkpoint.open(tiny().write(folder));
                WholeModel model = WholeModel.open(source, null)) {
            FlatModel flat = FlatModel.trained(model, rank, SEED, 0, CONTEXT, F64, scope);
            List<Value> tensors = doubles(lively(flat, random, scope), scope);
            Value block = scope.tensor(new long[] {1}, 1);
            Value x = normal(random, scope);
            Value y = normal(random, scope);
            List<Value> own = flat.leaves(1, scope).members();
            List<Value> all = flat.arguments().getFirst().members();
            List<Integer> places =
                    trained(flat).stream()
                            .filter(i -> own.stream().anyMatch(leaf -> same(leaf, all.get(i))))
                            .toList();
            assertThat(places).hasSize(own.size());
            List<Value> learning = Case.model(flat, tensors, trained(flat), scope);
            List<Value> leaves = places.stream().map(learning.getFirst().members()::get).toList();
            Value list = scope.list(leaves);
            Value sum = scope.list(scope.train("train_zeros", list));
            List<Value> arguments = new ArrayList<>(List.of(x, y, block));
            arguments.addAll(learning);
            arguments.addAll(List.of(list, sum));
            scope.train("train_local_gradient", arguments.toArray(Value[]::new));
            for (int i = 0; i < places.size(); i++) {
                float[] expected = sum.members().get(i).floats();
                int element = random.nextInt(expected.length);
                double slope =
                        (alone(flat, tensors, places.get(i), element, STEP, List.of(x, y, block))
                                        - alone(
                                                flat,
                                                tensors,
                                                places.get(i),
                                                element,
                                                -STEP,
                                                List.of(x, y, block)))
                                / (2.0 * STEP);
                assertThat(slope)
                        .as("tensor %d, element %d", places.get(i), element)
                        .isCloseTo(
                                expected[element],
                                within(2e-3 * Math.abs(expected[element]) + 1e-5));
            }
        }
    }

    private static boolean same(Value one, Value other) {
        return one.elements() > 0 && other.elements() > 0 && one.address() == other.address();
    }

    private static Value normal(Random random, TensorScope scope) {
        float[] numbers = new float[2 * CONTEXT * 16];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) random.nextGaussian();
        }
        Value tensor = scope.tensor(numbers, 2, CONTEXT, 16);
        return scope.call("cast", tensor, F64.code());
    }

    private static double alone(
            FlatModel flat,
            List<Value> tensors,
            int index,
            int element,
            float by,
            List<Value> around) {
        try (var scope = TensorScope.open()) {
            List<Value> changed = new ArrayList<>(tensors);
            float[] numbers = changed.get(index).floats();
            numbers[element] += by;
            Value tensor = scope.tensor(numbers, changed.get(index).shape());
            changed.set(index, scope.call("cast", tensor, F64.code()));
            List<Object> arguments = new ArrayList<>(around);
            arguments.addAll(Case.model(flat, changed, List.of(), scope));
            return scope.call("train_local_loss", arguments.toArray()).number();
        }
    }

    @ParameterizedTest
    @MethodSource("architectures")
    void computesWhatTheModelDoes(TinyModel model) throws IOException {
        Path written = model.write(folder.resolve("model"));
        long[] ids = new Random(SEED).longs(CONTEXT, 0, VOCABULARY).toArray();
        try (var scope = TensorScope.open();
                Checkpoint source = Checkpoint.open(written);
                WholeModel whole = WholeModel.open(source, null);
                Decoder decoder = Decoder.open(written)) {
            Value input = scope.tensor(ids, 1, CONTEXT);
            float[] logits =
                    FlatModel.frozen(whole, CONTEXT, DType.F32, scope)
                            .logits(input, scope)
                            .floats();
            float[] expected =
                    decoder.forward(input, 0, decoder.newCache(1, CONTEXT, scope), true, scope)
                            .floats();
            assertThat(logits).containsExactly(expected, within(1e-4f));
        }
    }

    /// A teacher that says the same leaves nothing to learn.
    @Test
    void nothingIsLostAgainstItself() throws IOException {
        Path same = tiny().write(folder.resolve("same"));
        try (var scope = TensorScope.open();
                Checkpoint source = Checkpoint.open(same);
                WholeModel model = WholeModel.open(source, null)) {
            FlatModel flat = FlatModel.trained(model, 0, SEED, 0, CONTEXT, DType.F32, scope);
            long[][] windows = {new Random(SEED).longs(CONTEXT, 0, VOCABULARY).toArray()};
            for (double beta : new double[] {0, 0.5, 1}) {
                var objective = new Objective(beta, 1, 0);
                double loss =
                        new Gradient(flat, flat, objective, CONTEXT, scope).loss(windows, null);
                assertThat(loss).isCloseTo(0, within(1e-6));
            }
        }
    }
}
