package dev.lithe.search;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.compress.Recipe;
import dev.lithe.compress.RecipeParser;
import dev.lithe.report.SampleReport;
import dev.lithe.search.Goal.Preference;
import dev.lithe.search.SearchResult.Finalist;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Who wins among finalists whose outcomes are made up.
class SearchResultTest {
    private static final Goal QUALITY = new Goal(100L, null, null, Preference.QUALITY);
    private static final String ONE = "rtn:bits=4,group_size=32";
    private static final String OTHER = "nf4:group_size=64";

    private int number;

    private Finalist finalist(long bytes, double kl, double ratio, String... stages) {
        Recipe recipe = RecipeParser.inline(List.of(stages));
        ObjectNode written = recipe.toJson();
        boolean single = stages.length == 1;
        var proposal = new Proposal(new int[0], written, recipe, single, bytes);
        var outcome = new Outcome(bytes, kl, ratio, null, 1, null);
        return new Finalist(++number, proposal, Path.of("made"), outcome, SampleReport.complete());
    }

    private static SearchResult result(Goal goal, Finalist... finalists) {
        return SearchResult.of(goal, finalists.length, 1, List.of(finalists));
    }

    @Test
    void theLeastDivergenceDoesNotWinWithMorePerplexityThanASingleTechnique() {
        Finalist nearest = finalist(90, 0.002, 1.0021, "rotate", ONE);
        Finalist both = finalist(95, 0.003, 1.0004, "smoothquant", ONE);
        Finalist single = finalist(99, 0.006, 1.0004, ONE);
        var result = result(QUALITY, single, nearest, both);
        assertThat(result.finalists()).containsExactly(both, nearest, single);
        assertThat(result.bestSingle()).isEqualTo(single);
        assertThat(result.table()).doesNotContain("note ");
        assertThat(result.toJson().path("no_worse_than_singles").asBoolean()).isTrue();
    }

    @Test
    void whereNoneIsAsGoodInBothDivergenceDecidesAndTheTableSaysSo() {
        Finalist nearest = finalist(90, 0.002, 1.0021, "rotate", ONE);
        Finalist near = finalist(99, 0.003, 1.0104, ONE);
        Finalist single = finalist(99, 0.006, 1.0004, OTHER);
        var result = result(QUALITY, single, near, nearest);
        assertThat(result.finalists()).containsExactly(nearest, near, single);
        assertThat(result.bestSingle()).isEqualTo(single);
        assertThat(result.table().lines().filter(line -> line.startsWith("note ")))
                .singleElement()
                .asString()
                .contains("perplexity ratio 1.0021 and KL 0.00200", "technique 1.0004 and 0.00600");
        assertThat(result.toJson().path("no_worse_than_singles").asBoolean()).isFalse();
    }

    /// Where bytes or speed are preferred, quality is no promise, kept or broken.
    @ParameterizedTest
    @EnumSource(names = {"BYTES", "SPEED"})
    void whereQualityIsNotPreferredNothingIsSaidOfSingles(Preference preference) {
        Finalist single = finalist(99, 0.006, 1.0004, OTHER);
        Finalist nearest = finalist(90, 0.002, 1.0021, "rotate", ONE);
        var result = result(new Goal(100L, 1.1, null, preference), single, nearest);
        assertThat(result.toJson().has("no_worse_than_singles")).isTrue();
        assertThat(result.toJson().path("no_worse_than_singles").isNull()).isTrue();
        assertThat(result.table()).doesNotContain("note ");
    }

    @Test
    void aSingleTechniqueThatMissesALimitIsNoMeasure() {
        Finalist large = finalist(101, 0.0001, 1.0, ONE);
        Finalist small = finalist(100, 0.006, 1.004, OTHER);
        Finalist nearest = finalist(90, 0.002, 1.0021, "rotate", ONE);
        var result = result(QUALITY, large, small, nearest);
        assertThat(result.finalists()).containsExactly(nearest, small, large);
        assertThat(result.bestSingle()).isEqualTo(small);
        assertThat(result.table()).doesNotContain("note ");
    }

    @Test
    void whereBytesCountTheyDecide() {
        var bytes = new Goal(null, 1.01, null, Preference.BYTES);
        Finalist single = finalist(99, 0.006, 1.0004, ONE);
        Finalist smallest = finalist(60, 0.01, 1.009, "rotate", ONE);
        var result = result(bytes, single, smallest);
        assertThat(result.winner()).isEqualTo(smallest);
        assertThat(result.bestSingle()).isEqualTo(single);
        assertThat(result.table()).doesNotContain("note ");
    }
}
