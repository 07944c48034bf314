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
        Report.Variant fitted = measure("hqq:" + layout);
        for (String observer : List.of("minmax", "mse")) {
            Report.Variant rounded =
                    measure("rtn:symmetric=false,observer=" + observer + "," + layout);
            assertThat(fitted.klDivergence().mean())
                    .as("against %s", observer)
                    .isLessThan(0.9 * rounded.klDivergence().mean());
            // at 4 bits all three lie within this short text's noise, 0.4 %
            assertThat(fitted.ratios().perplexity().value())
                    .as("against %s", observer)
                    .isLessThan(rounded.ratios().perplexity().value() + (bits == 4 ? 0.004 : 0));
        }
    }

    /// The demo after `stage`.
    private Report.Variant measure(String stage) {
        var options =
                new MeasureOptions(
                        DEMO.resolve("evaluation.txt"),
                        CONTEXT,
                        76_800,
                        Scoring.ALL,
                        0,
                        new LatencyOptions(0, 64, 64, 0),
                        null);
        Report report =
                Measurement.measure(
                        Candidate.of("original", "original", DEMO),
                        List.of(Candidate.of("compressed", stage, compress(stage))),
                        options,
                        (_, _, _) -> {});
        return report.compressed().getFirst();
    }

    private Path compress(String stage) {
        Recipe recipe = RecipeParser.inline(List.of(stage));
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            return new Compressor(Plan.of(recipe, checkpoint), checkpoint, (_, _, _) -> {})
                    .run(temporary.resolve(stage.replaceAll("[^a-z0-9]", "-")), false);
        }
    }
}
