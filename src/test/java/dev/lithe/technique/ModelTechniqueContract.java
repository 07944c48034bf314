package dev.lithe.technique;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.calibrate.Workbench;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// What every technique of the model scope must do: make the shapes that it promised, for every
/// kind of model, the same each time, and leave the model that it was given alone.
///
/// @param <C> its configuration
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class ModelTechniqueContract<C extends Record> {
    private static final long SEED = 21;
    private static final int SAMPLES = 6;
    private static final int CONTEXT = 20;

    /// The technique under test.
    protected abstract ModelTechnique<C> technique();

    /// Configurations that every model of four blocks, four groups of heads and 64 channels takes.
    protected abstract List<C> configurations();

    /// Models of every kind.
    protected static List<TinyModel> models() {
        return List.of(
                model(),
                model().tied(),
                model().biases(),
                model().heads(8, 4, 4),
                model().heads(4, 4, 12).llama3Rope());
    }

    /// Four blocks of width 32, with 64 channels and four groups of one head.
    protected static TinyModel model() {
        return TinyModel.small().layers(4).width(32, 64).heads(4, 4, 8);
    }

    protected Stream<Arguments> cases() {
        return models().stream()
                .flatMap(model -> configurations().stream().map(c -> Arguments.of(model, c)));
    }

    /// Random windows for a model of `vocabulary` tokens.
    protected static CalibrationSet windows(int vocabulary) {
        long[][] windows =
                Stream.generate(() -> new Random(SEED))
                        .limit(1)
                        .flatMap(random ->
                                Stream.generate(
                                        () -> random.longs(CONTEXT, 0, vocabulary).toArray()))
                        .limit(SAMPLES)
                        .toArray(long[][]::new);
        return new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
    }

    @Test
    void isRegisteredUnderItsName() {
        assertThat(technique().summary()).isNotBlank().hasLineCount(1);
        assertThat(technique().scope()).isEqualTo("model");
        assertThat(Technique.all())
                .filteredOn(each -> each.name().equals(technique().name()))
                .singleElement()
                .isInstanceOf(technique().getClass());
    }

    @ParameterizedTest
    @MethodSource("cases")
    void keepsItsPromiseAndLeavesTheModelAlone(TinyModel tiny, C config, @TempDir Path folder)
            throws IOException {
        tiny.write(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300), bench(source))) {
            List<Float> untouched = numbers(before);
            ObjectNode promised = before.config();
            technique().configure(promised, config);
            try (var made = technique().apply(before, config);
                    var again = technique().apply(before, config)) {
                if (!technique().findsShapes(config)) {
                    assertThat(made.spec()).isEqualTo(ModelSpec.of(promised, "promise"));
                }
                assertThat(numbers(again)).isEqualTo(numbers(made)).doesNotContain(Float.NaN);
                requireShapes(made, config);
            }
            assertThat(numbers(before)).isEqualTo(untouched);
        }
    }

    /// The model is its own original, and nothing is left from earlier.
    protected static Workbench bench(Checkpoint original) {
        return new Workbench(original, null, (_, _, _) -> {});
    }

    private void requireShapes(WholeModel model, C config) {
        for (LoadedPart part : model.parts()) {
            for (LinearName name : part.part().linears()) {
                Linear linear = part.linear(name);
                try (var step = TensorScope.open()) {
                    assertThat(DenseWeights.of(linear, step).shape())
                            .as(name.module())
                            .containsExactly(name.outFeatures(), name.inFeatures());
                }
                assertThat(linear.bias() != null).as(name.module()).isEqualTo(name.hasBias());
                LinearForm dense = new LinearForm.Dense(linear.floatType());
                assertThat(linear.form())
                        .as(name.module())
                        .isEqualTo(technique().outcome(model.spec(), name, dense, config));
            }
            part.part()
                    .norms()
                    .keySet()
                    .forEach(slot ->
                            assertThat(part.norm(slot).shape())
                                    .containsExactly(model.spec().hiddenSize()));
        }
    }

    private static List<Float> numbers(WholeModel model) {
        List<Float> numbers = new ArrayList<>();
        for (LoadedPart part : model.parts()) {
            part.part()
                    .linears()
                    .forEach(name ->
                            part.linear(name)
                                    .tensors()
                                    .values()
                                    .forEach(tensor -> {
                                        for (float number : tensor.floats()) {
                                            numbers.add(number);
                                        }
                                    }));
            part.part()
                    .norms()
                    .keySet()
                    .forEach(slot -> {
                        for (float number : part.norm(slot).floats()) {
                            numbers.add(number);
                        }
                    });
        }
        return numbers;
    }
}
