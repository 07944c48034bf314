package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.Scoring;
import dev.lithe.model.Architecture;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Quantized in memory, expanded and run in floats, the demo has the perplexity of the folder that
/// is written, opened again and run by the kernels of its form: nothing is lost on the way to the
/// disk, and the kernels compute what the codes mean.
class FakeQuantizationTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");

    @TempDir private Path temporary;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "rtn:bits=4,group_size=32",
                "rtn:bits=3,group_size=32,symmetric=false",
                "rtn:bits=6,group_size=128,indivisible=dense",
                "rtn:bits=8,group_size=0",
                "hqq:bits=4,group_size=64",
                "nf4",
                "fp8:activations=none"
            })
    void agreesWithTheFolderOpenedAgain(String stage) {
        Recipe recipe = RecipeParser.inline(List.of(stage));
        Report report =
                Measurement.measure(
                        Candidate.of("original", "in memory", expanded(recipe)),
                        List.of(Candidate.of("compressed", stage, written(recipe))),
                        new MeasureOptions(
                                DEMO.resolve("evaluation.txt"),
                                256,
                                8192,
                                Scoring.ALL,
                                0,
                                new LatencyOptions(0, 64, 64, 0),
                                null),
                        (_, _, _) -> {});
        double ratio = report.compressed().getFirst().ratios().perplexity().value();
        assertThat(ratio).as(stage).isBetween(0.999, 1.001);
    }

    private Path written(Recipe recipe) {
        try (var checkpoint = Checkpoint.open(DEMO)) {
            return new Compressor(Plan.of(recipe, checkpoint), checkpoint, (_, _, _) -> {})
                    .run(temporary.resolve("written"), false);
        }
    }

    /// A folder of what the stage makes of each linear, as floats.
    private Path expanded(Recipe recipe) {
        try (var checkpoint = Checkpoint.open(DEMO);
                var writer = CheckpointWriter.open(temporary.resolve("expanded"), false);
                var scope = TensorScope.open()) {
            var reader = new LinearReader(checkpoint);
            Plan plan = Plan.of(recipe, checkpoint);
            for (LinearName name : Architecture.linears(plan.spec())) {
                writer.write(
                        name.module() + ".weight",
                        DenseWeights.of(quantized(recipe, plan, name, reader, scope), scope));
            }
            for (String name : checkpoint.entries().keySet()) {
                if (Architecture.linears(plan.spec()).stream()
                        .noneMatch(linear -> name.equals(linear.module() + ".weight"))) {
                    writer.write(name, checkpoint.load(name, scope));
                }
            }
            writer.copy(DEMO.resolve("tokenizer.json"));
            writer.json("config.json", checkpoint.config());
            return writer.finish(JsonNodeFactory.instance.objectNode());
        }
    }

    private static Linear quantized(
            Recipe recipe, Plan plan, LinearName name, LinearReader reader, TensorScope scope) {
        return recipe.stages()
                .getFirst()
                .apply(
                        name,
                        reader.read(name, scope),
                        plan.linear(name).last(),
                        () -> {
                            throw new AssertionError("no stage here looks at data");
                        },
                        scope)
                .linear();
    }
}
