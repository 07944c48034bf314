package dev.lithe.report;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.report.Report.Variant;
import java.util.Locale;

/// A limit that compressed models have to keep.
///
/// @param maxPerplexityRatio the largest perplexity ratio to the original that passes
public record QualityGate(double maxPerplexityRatio) {
    public QualityGate {
        if (!(maxPerplexityRatio > 0) || Double.isInfinite(maxPerplexityRatio)) {
            throw LitheException.badInput(
                    "--max-perplexity-ratio %s; it must be a number above 0, such as 1.05",
                    maxPerplexityRatio);
        }
    }

    /// Passes, or tells which model misses the limit and by how much.
    ///
    /// @throws LitheException with [Fault#QUALITY_GATE]
    public void check(Report report) {
        for (Variant variant : report.compressed()) {
            if (variant.ratios() == null) {
                continue;
            }
            Report.Ratio perplexity = variant.ratios().perplexity();
            if (perplexity == null) {
                throw LitheException.badInput(
                        "%s splits the text into other tokens, so --max-perplexity-ratio cannot judge it;"
                                + " leave that out and compare bits per character",
                        variant.name());
            }
            double ratio = perplexity.value();
            if (!(ratio <= maxPerplexityRatio)) {
                throw LitheException.of(
                        Fault.QUALITY_GATE,
                        "%s: perplexity ratio %s is above the limit %s; compress less, or raise"
                                + " --max-perplexity-ratio",
                        variant.name(),
                        String.format(Locale.ROOT, "%.4f", ratio),
                        maxPerplexityRatio);
            }
        }
    }
}
