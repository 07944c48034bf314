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
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Gradients of every loss against differences of the loss itself, in float64.
class GradientTest {
    private static final long SEED = 17;
    private static final int CONTEXT = 6;
    private static final int PLACES = 3;
    private static final float STEP = 1e-3f;

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
        return model.vocab(40).width(16, 24).heads(4, 2, 4);
    }

    private static final DType F64 = DType.F64;

    /// Student and teacher as one list of arguments, each a list of float64 tensors; null where a
    /// leaf goes.
    private record Case(List<List<Value>> lists, Value numbers, Value objective, Value ids) {
        List<Value> arguments(TensorScope scope, boolean weights, boolean adapters) {
            List<Value> arguments = new ArrayList<>();
            for (int i = 0; i < lists.size(); i++) {
                boolean trained = i == 0 && weights || i == 1 && adapters;
                arguments.add(scope.list(copies(lists.get(i), trained, scope)));
                if (i % 3 == 2) {
                    arguments.add(numbers);
                }
            }
            arguments.addFirst(ids);
            arguments.add(objective);
            return arguments;
        }
    }

    private static List<Value> copies(List<Value> values, boolean trained, TensorScope scope) {
        long[] flags = new long[values.size()];
        Arrays.fill(flags, trained ? 1 : 0);
        return scope.train("train_masters", scope.list(values), scope.tensor(flags, flags.length));
    }

    private static Value doubles(Value value, TensorScope scope) {
        return scope.call("cast", value, F64.code());
    }

    /// Adapters whose B is not 0, which would leave A without a gradient.
    private static List<Value> lively(List<Value> adapters, Random random, TensorScope scope) {
        List<Value> lively = new ArrayList<>();
        for (Value value : adapters) {
            float[] numbers = value.floats();
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] += (float) (0.2 * random.nextGaussian());
            }
            lively.add(scope.tensor(numbers, value.shape()));
        }
        return lively;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void agreesWithDifferences(Objective objective, int rank, TinyModel model) throws IOException {
        Path student = model.write(folder.resolve("student"));
        Path teacher = model.seed(5).write(folder.resolve("teacher"));
        var random = new Random(SEED);
        try (var scope = TensorScope.open();
                Checkpoint pupil = Checkpoint.open(student);
                Checkpoint master = Checkpoint.open(teacher);
                WholeModel one = WholeModel.open(pupil, null);
                WholeModel other = WholeModel.open(master, null)) {
            FlatModel trained = FlatModel.trained(one, rank, SEED, CONTEXT, F64, scope);
            FlatModel frozen = FlatModel.frozen(other, CONTEXT, F64, scope);
            List<List<Value>> lists = new ArrayList<>();
            for (FlatModel flat : List.of(trained, frozen)) {
                for (int i = 0; i < 3; i++) {
                    List<Value> members = flat.arguments().get(i).members();
                    if (i == 1 && rank > 0 && flat == trained) {
                        members = lively(members, random, scope);
                    }
                    lists.add(members.stream().map(value -> doubles(value, scope)).toList());
                }
            }
            long[] ids = random.longs(2 * CONTEXT, 0, 40).toArray();
            var problem =
                    new Case(
                            lists,
                            trained.arguments().get(3),
                            objective.numbers(scope),
                            scope.tensor(ids, 2, CONTEXT));
            check(problem, rank, random, scope);
        }
    }

    private static void check(Case problem, int rank, Random random, TensorScope scope) {
        List<Value> arguments = problem.arguments(scope, rank == 0, rank > 0);
        Value leaves = scope.call("train_leaves", arguments.get(1), arguments.get(2));
        Value sum = scope.list(scope.train("train_zeros", leaves));
        arguments.add(scope.tensor(new float[] {1}, 1));
        arguments.add(sum);
        double loss =
                scope.train("train_gradient", arguments.toArray(Value[]::new))
                        .getFirst()
                        .floats()[0];
        assertThat(loss).isCloseTo(loss(problem, scope), within(1e-5 * loss));
        List<Value> trained = problem.lists().get(rank == 0 ? 0 : 1);
        int gradient = 0;
        for (int i = 0; i < trained.size(); i++) {
            if (trained.get(i).elements() > 0 && (rank == 0 || i % 3 < 2)) {
                compare(problem, rank == 0 ? 0 : 1, i, sum.members().get(gradient++), random);
            }
        }
        assertThat(gradient).isEqualTo(leaves.members().size());
    }

    private static void compare(Case problem, int list, int index, Value gradient, Random random) {
        float[] expected = gradient.floats();
        double scale = 0;
        for (float number : expected) {
            scale = Math.max(scale, Math.abs(number));
        }
        for (int place = 0; place < PLACES; place++) {
            int element = random.nextInt(expected.length);
            float[] numbers = problem.lists().get(list).get(index).floats();
            float up = numbers[element] + STEP;
            float down = numbers[element] - STEP;
            double slope =
                    (moved(problem, list, index, element, up)
                                    - moved(problem, list, index, element, down))
                            / ((double) up - down);
            assertThat(slope)
                    .as("list %d, tensor %d, element %d, seed %d", list, index, element, SEED)
                    .isCloseTo(expected[element], within(1e-3 * scale + 1e-6));
        }
    }

    private static double moved(Case problem, int list, int index, int element, float to) {
        try (var scope = TensorScope.open()) {
            List<List<Value>> lists = new ArrayList<>(problem.lists());
            List<Value> changed = new ArrayList<>(lists.get(list));
            float[] numbers = changed.get(index).floats();
            numbers[element] = to;
            Value tensor = scope.tensor(numbers, changed.get(index).shape());
            changed.set(index, doubles(tensor, scope));
            lists.set(list, changed);
            return loss(
                    new Case(lists, problem.numbers(), problem.objective(), problem.ids()), scope);
        }
    }

    private static double loss(Case problem, TensorScope scope) {
        return scope.call("train_loss", problem.arguments(scope, false, false).toArray()).number();
    }

    @ParameterizedTest
    @MethodSource("architectures")
    void computesWhatTheModelDoes(TinyModel model) throws IOException {
        Path written = model.write(folder.resolve("model"));
        long[] ids = new Random(SEED).longs(CONTEXT, 0, 40).toArray();
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
            FlatModel flat = FlatModel.trained(model, 0, SEED, CONTEXT, DType.F32, scope);
            long[][] windows = {new Random(SEED).longs(CONTEXT, 0, 40).toArray()};
            for (double beta : new double[] {0, 0.5, 1}) {
                var objective = new Objective(beta, 1, 0);
                double loss = new Gradient(flat, flat, objective, CONTEXT, scope).loss(windows);
                assertThat(loss).isCloseTo(0, within(1e-6));
            }
        }
    }
}
