package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Allocations on small random models: budgets are kept, what is settled stays, and what cannot be
/// is refused. That they help is [RecipeQualityTest]'s.
class AllocatorTest {
    private static final long SEED = 4;

    @TempDir private Path folder;

    private Plan settle(TinyModel model, String... stages) throws IOException {
        model.write(folder);
        try (var checkpoint = Checkpoint.open(folder)) {
            Recipe recipe = RecipeParser.inline(List.of(stages));
            var spec = Plan.of(recipe, checkpoint).spec();
            long[][] windows =
                    Stream.generate(() -> new Random(SEED).longs(12, 0, spec.vocabSize()).toArray())
                            .limit(3)
                            .toArray(long[][]::new);
            var set = new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
            Recipe settled = new Allocator(checkpoint, spec, set, null, _ -> {}).settle(recipe);
            assertThat(settled.needsAllocation()).isFalse();
            return Plan.of(settled, checkpoint);
        }
    }

    static Stream<TinyModel> models() {
        return Stream.of(
                TinyModel.small(),
                TinyModel.small().tied(),
                TinyModel.small().biases(),
                TinyModel.small().width(60, 172).heads(5, 5, 12));
    }

    @ParameterizedTest
    @MethodSource("models")
    void spendsTheBudgetAndNoMore(TinyModel model) throws IOException {
        Plan least =
                settle(
                        model,
                        "bit_allocation:average_bits=16,bits=[2],group_sizes=[0]",
                        "gptq:targets=[re:.*]");
        Plan most =
                settle(
                        model,
                        "bit_allocation:average_bits=16,bits=[2;3;4;8],group_sizes=[0]",
                        "gptq:targets=[re:.*]");
        long budget = (least.bytes() + most.bytes()) / 2;
        Plan plan =
                settle(
                        model,
                        "bit_allocation:max_bytes=" + budget + ",bits=[2;3;4;8],group_sizes=[0]",
                        "gptq:targets=[re:.*]");
        assertThat(plan.bytes()).isLessThanOrEqualTo(budget).isGreaterThan(budget * 9 / 10);
        assertThat(widths(plan)).hasSizeGreaterThan(1);
        assertThat(widths(most)).as("bytes enough for all").containsExactly(8);
    }

    @Test
    void goesOnBehindTheLastPartThatAKilledRunHadMeasured() throws IOException {
        TinyModel.small().write(folder);
        Path prices = folder.resolve("prices.jsonl");
        try (var checkpoint = Checkpoint.open(folder)) {
            Recipe recipe =
                    RecipeParser.inline(
                            List.of("bit_allocation:average_bits=4", "gptq:targets=[re:.*]"));
            var spec = Plan.of(recipe, checkpoint).spec();
            long[][] windows = {new Random(SEED).longs(12, 0, spec.vocabSize()).toArray()};
            var set = new CalibrationSet(new TextFile("none", "", ""), windows, SEED);
            List<Long> heard = new ArrayList<>();
            LongConsumer listener = heard::add;
            var allocator = new Allocator(checkpoint, spec, set, prices, listener);
            var whole = allocator.settle(recipe).toJson();
            assertThat(heard).as("each linear measured by itself").containsOnly(1L);
            long linears = heard.size();
            List<String> lines = Files.readAllLines(prices);
            Files.writeString(
                    prices,
                    String.join("\n", lines.subList(0, lines.size() - 1))
                            + "\n"
                            + lines.getLast().substring(0, 20));
            heard.clear();
            assertThat(allocator.settle(recipe).toJson()).isEqualTo(whole);
            assertThat(heard).as("parts known, and the last measured again").contains(1L);
            assertThat(heard.stream().mapToLong(Long::longValue).sum()).isEqualTo(linears);
            assertThat(heard.stream().filter(n -> n == 1).count()).isLessThan(linears);
            assertThat(Files.readAllLines(prices)).isEqualTo(lines);
        }
    }

    @Test
    void countsTheScalesOfTheFormThatAStageBeforeItMakes() throws IOException {
        Plan plan =
                settle(
                        TinyModel.small(),
                        "cast:dtype=float16",
                        "bit_allocation:average_bits=6,bits=[2;4;8],group_sizes=[8]",
                        "gptq:targets=[re:.*]");
        assertThat(widths(plan)).isNotEmpty();
        long weights = plan.weights();
        assertThat(
                        plan.linears().stream()
                                .mapToLong(each ->
                                        each.last()
                                                .bytes(
                                                        each.name().outFeatures(),
                                                        each.name().inFeatures()))
                                .sum())
                .isLessThanOrEqualTo(weights * 6 / 8)
                .isGreaterThan(weights * 5 / 8);
        assertThatThrownBy(() ->
                        settle(
                                TinyModel.small(),
                                "magnitude",
                                "bit_allocation:average_bits=8",
                                "gptq"))
                .isInstanceOf(LitheException.class);
    }

    private static Set<Integer> widths(Plan plan) {
        Set<Integer> widths = new HashSet<>();
        for (Plan.PlannedLinear linear : plan.linears()) {
            if (linear.last() instanceof LinearForm.Grouped grouped) {
                widths.add(grouped.bits());
            }
        }
        return widths;
    }

    @Test
    void leavesAloneWhatTheStageDoes() throws IOException {
        Plan plan =
                settle(
                        TinyModel.small(),
                        "bit_allocation:average_bits=5,bits=[2;4],group_sizes=[16]",
                        "rtn:ignore=[lm_head]");
        assertThat(plan.linears().getFirst().last()).isInstanceOf(LinearForm.Dense.class);
        assertThat(plan.linears().getLast().last()).isInstanceOf(LinearForm.Dense.class);
        assertThat(widths(plan)).isSubsetOf(2, 4);
    }

    @Test
    void refusesWhatCannotBe() {
        refused(
                "the smallest widths take",
                "bit_allocation:average_bits=2,bits=[3],group_sizes=[16]",
                "gptq");
        refused("nothing to choose", "bit_allocation:average_bits=4,group_sizes=[1024]", "gptq");
        refused("one of them", "bit_allocation", "gptq");
        refused("right before", "rtn", "bit_allocation:average_bits=4");
        refused("right before", "bit_allocation:average_bits=4", "bit_allocation:average_bits=4");
        refused("unknown", "bit_allocation:average_bits=4", "cast");
        refused("average_bits is 20", "bit_allocation:average_bits=20", "gptq");
    }

    private void refused(String part, String... stages) {
        assertThatThrownBy(() -> settle(TinyModel.small(), stages))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(part);
    }
}
