package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.calibrate.CalibrationOptions;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.Scoring;
import dev.lithe.report.Candidate;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.Measurement;
import dev.lithe.report.Report;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What techniques that take the whole model promise of each other, measured on the demo from what
/// they write, calibrated with few windows. On more text and seeds: `eval/factorize-orders`,
/// `eval/slice`, `eval/moefy`.
class ModelTechniqueQualityTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int CONTEXT = 256;
    private static final int SAMPLES = 12;

    @TempDir private Path temporary;

    @Test
    void knowingInputsBeatsPlainFactors() {
        double[] kl =
                divergences(
                        "basis_sharing:remove=0.3",
                        "svd:remove=0.3",
                        "svd:remove=0.3,weighting=asvd",
                        "svd:remove=0.3,weighting=none");
        assertThat(kl).isSorted();
        assertThat(kl[1]).isBetween(0.02, 0.3).isLessThan(0.4 * kl[2]);
    }

    @Test
    void sharedBlocksBeatDroppedOnes() {
        double[] kl =
                divergences(
                        "share_layers:blocks=3,rank=16",
                        "depth_prune:remove=3,criterion=block_influence");
        assertThat(kl[0]).isLessThan(0.9 * kl[1]);
    }

    /// One attention and one feed-forward part are what a block has, and two attentions are less
    /// than two thirds of it.
    @Test
    void partsApartBeatAWholeBlock() {
        double[] kl =
                divergences(
                        "depth_prune:remove=1,parts=attention,criterion=perplexity,samples=4",
                        "depth_prune:remove=2,parts=any,criterion=perplexity,samples=4",
                        "depth_prune:remove=1,criterion=perplexity,samples=4");
        assertThat(kl).isSorted();
    }

    @Test
    void chosenExpertsBeatNarrowerBlocks() {
        double[] kl = divergences("moefy:active=0.5", "width_prune:ffn=0.5");
        assertThat(kl[0]).isBetween(0.02, 0.25).isLessThan(0.6 * kl[1]);
    }

    @Test
    void aNarrowerStreamBeatsNarrowerBlocks() {
        double[] kl = divergences("slice:remove=0.125", "width_prune:ffn=0.25");
        assertThat(kl[0]).isLessThan(0.5 * kl[1]);
    }

    private double[] divergences(String... stages) {
        var options =
                new MeasureOptions(
                        DEMO.resolve("evaluation.txt"),
                        CONTEXT,
                        4096,
                        Scoring.ALL,
                        0,
                        new LatencyOptions(0, 64, 64, 0),
                        null);
        List<Candidate> made =
                Arrays.stream(stages)
                        .map(stage -> Candidate.of(stage, stage, compress(stage)))
                        .toList();
        return Measurement.measure(
                        Candidate.of("original", "original", DEMO), made, options, (_, _, _) -> {})
                .compressed()
                .stream()
                .map(Report.Variant::klDivergence)
                .mapToDouble(Report.Divergence::mean)
                .toArray();
    }

    private Path compress(String stage) {
        Path text = DEMO.resolve("calibration.txt");
        var options = new CalibrationOptions(text.toString(), SAMPLES, CONTEXT, 0);
        Path output = temporary.resolve(stage.replaceAll("[^a-z0-9]", "-"));
        try (Checkpoint source = Checkpoint.open(DEMO)) {
            new Pipeline(
                            RecipeParser.inline(List.of(stage)),
                            source,
                            (folder, spec) -> CalibrationSet.draw(text, options, folder, spec),
                            (_, _, _) -> (_, _, _) -> {})
                    .run(output, false);
        }
        return output;
    }
}
