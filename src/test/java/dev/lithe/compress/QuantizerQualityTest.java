package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.Scoring;
import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What quantizers promise of each other, measured from what they write.
class QuantizerQualityTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int CONTEXT = 256;

    @TempDir private Path temporary;

    @ParameterizedTest
    @ValueSource(ints = {3, 4})
    void fittingTheGridBeatsRounding(int bits) {
        String layout = "bits=" + bits + ",group_size=64";
        List<Report.Variant> made =
                measure(
                        "hqq:" + layout,
                        "rtn:symmetric=false,observer=minmax," + layout,
                        "rtn:symmetric=false,observer=mse," + layout);
        Report.Variant fitted = made.getFirst();
        for (Report.Variant rounded : made.subList(1, made.size())) {
            assertThat(fitted.klDivergence().mean())
                    .as("against %s", rounded.name())
                    .isLessThan(0.93 * rounded.klDivergence().mean());
            // at 4 bits all three lie within this short text's noise, 0.4 %
            assertThat(fitted.perplexity().value())
                    .as("against %s", rounded.name())
                    .isLessThan(rounded.perplexity().value() * (bits == 4 ? 1.004 : 1));
        }
    }

    @Test
    void normalQuantilesBeatEvenStepsOfTheSameRange() {
        List<Report.Variant> made =
                measure(
                        "nf4:group_size=64",
                        "nf4:group_size=64,double_quant=true",
                        "rtn:bits=4,group_size=64,observer=minmax");
        double even = made.getLast().klDivergence().mean();
        assertThat(made.get(0).klDivergence().mean()).isLessThan(0.9 * even);
        assertThat(made.get(1).klDivergence().mean()).isLessThan(0.9 * even);
        assertThat(made.get(1).bytesOnDisk()).isLessThan(made.get(0).bytesOnDisk());
    }

    @Test
    void eightBitFloatsKeepTheDemo() {
        List<Report.Variant> made = measure("fp8:activations=dynamic", "fp8:activations=none");
        assertThat(made.get(0).klDivergence().mean()).isLessThan(0.004);
        assertThat(made.get(1).klDivergence().mean()).isLessThan(0.002);
        assertThat(made.get(0).perplexity().value() / made.get(1).perplexity().value())
                .isBetween(0.997, 1.003);
    }

    /// The demo after each of `stages`.
    private List<Report.Variant> measure(String... stages) {
        var options =
                new MeasureOptions(
                        DEMO.resolve("evaluation.txt"),
                        CONTEXT,
                        8192,
                        Scoring.ALL,
                        0,
                        new LatencyOptions(0, 64, 64, 0),
                        null);
        List<Candidate> made =
                Stream.of(stages)
                        .map(stage -> Candidate.of(stage, stage, compress(stage)))
                        .toList();
        return Measurement.measure(
                        Candidate.of("original", "original", DEMO), made, options, (_, _, _) -> {})
                .compressed();
    }

    private Path compress(String stage) {
        Recipe recipe = RecipeParser.inline(List.of(stage));
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            return new Compressor(Plan.of(recipe, checkpoint), checkpoint, (_, _, _) -> {})
                    .run(temporary.resolve(stage.replaceAll("[^a-z0-9]", "-")), false);
        }
    }
}
