package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// What a plan says before any work: bytes that come true, and every problem at once.
class PlanTest {
    @TempDir private Path folder;

    static Stream<Arguments> models() {
        TinyModel odd = TinyModel.small().width(60, 172).heads(5, 5, 12).vocab(301).layers(3);
        return Stream.of(
                argumentSet("untied", TinyModel.small()),
                argumentSet("tied", TinyModel.small().tied()),
                argumentSet("biases", TinyModel.small().biases()),
                argumentSet("odd sizes, biases", odd.biases()),
                argumentSet("bfloat16, sharded", TinyModel.small().dtype(DType.BF16).shards(2)));
    }

    @Test
    void everyBuiltInRecipeCanBeCarriedOutOnTheDemo() {
        try (var demo = Checkpoint.open(ModelSource.folder(ModelSource.DEMO))) {
            for (String name : RecipeParser.BUILT_IN) {
                long bytes = Pipeline.plan(RecipeParser.named(name), demo).getLast().plan().bytes();
                assertThat(bytes).as(name).isLessThan(demo.tensorBytes() * 6 / 10);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("models")
    void plannedBytesAreWhatIsWritten(TinyModel model) throws IOException {
        model.write(folder.resolve("model"));
        List<Recipe> recipes =
                List.of(
                        RecipeParser.named("int4"),
                        RecipeParser.named("int8"),
                        RecipeParser.inline(List.of("cast:dtype=bfloat16")),
                        RecipeParser.inline(List.of("rtn:bits=3,group_size=16,symmetric=false")),
                        RecipeParser.inline(
                                List.of(
                                        "rtn:bits=2,group_size=0,symmetric=false,targets=[down_proj]",
                                        "cast",
                                        "rtn:bits=5,group_size=8,indivisible=dense,ignore=[lm_head;down_proj]")));
        for (int i = 0; i < recipes.size(); i++) {
            Path output = folder.resolve("out" + i);
            try (var source = Checkpoint.open(folder.resolve("model"))) {
                Plan plan = Plan.of(recipes.get(i), source);
                new Compressor(plan, source, (done, total, module) -> {}).run(output, false);
                try (var result = Checkpoint.open(output)) {
                    assertThat(result.tensorBytes())
                            .as(recipes.get(i).toJson().toString())
                            .isEqualTo(plan.bytes());
                }
                assertThat(plan.formCounts().values().stream().mapToInt(n -> n).sum())
                        .as("all but the dense embedding")
                        .isEqualTo(plan.linears().size() - 1);
            }
        }
    }

    @Test
    void allProblemsComeAtOnceInOneLine() throws IOException {
        TinyModel.small().write(folder);
        Recipe recipe =
                RecipeParser.inline(
                        List.of(
                                "rtn:group_size=32,indivisible=refuse,targets=[down_proj;up_prj]",
                                "rtn:bits=8,group_size=0,targets=[q_proj;re:(]",
                                "rtn:targets=[lm_head]",
                                "rtn:targets=[lm_head],ignore=[re:model.layers.9.*]"));
        assertThatThrownBy(() -> plan(recipe))
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                .satisfies(e ->
                        assertThat(e.getMessage())
                                .hasLineCount(1)
                                .contains("pattern 'up_prj' names no linear")
                                .contains("pattern 're:('")
                                .contains("pattern 're:model.layers.9.*' names no linear")
                                .contains("already int4 group 32", "(1 linear: lm_head)"));
        Recipe idle = RecipeParser.inline(List.of("rtn:targets=[q_proj],ignore=[q_proj]", "rtn"));
        assertThatThrownBy(() -> plan(idle))
                .hasMessageContaining("rtn: ignores all that it targets; leave the stage out");
        Recipe indivisible =
                RecipeParser.inline(
                        List.of("rtn:group_size=32,indivisible=refuse,targets=[down_proj]"));
        assertThatThrownBy(() -> plan(indivisible))
                .hasMessageContaining("group_size 32 does not divide 48 inputs")
                .hasMessageContaining("(2 linears: model.layers.0.mlp.down_proj, model.layers.1");
    }

    @Test
    void aTiedOutputLayerMayBeNamed() throws IOException {
        TinyModel.small().tied().write(folder);
        assertThat(plan(RecipeParser.named("int4")).formCounts()).hasSize(2);
        assertThat(plan(RecipeParser.inline(List.of("rtn:ignore=[lm_head]"))).linears())
                .hasSize(15);
    }

    private Plan plan(Recipe recipe) {
        try (var checkpoint = Checkpoint.open(folder)) {
            return Plan.of(recipe, checkpoint);
        }
    }
}
