package dev.lithe.report;

import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Interval;
import dev.lithe.evaluate.Latency;
import dev.lithe.evaluate.LatencySamples;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.evaluate.Percentiles;
import dev.lithe.evaluate.Quality;
import dev.lithe.evaluate.Scores;
import dev.lithe.evaluate.Scores.Divergence;
import dev.lithe.evaluate.TokenWindows;
import dev.lithe.evaluate.Verdict;
import dev.lithe.model.Decoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Turns what was measured into the report's variants. All lists have the original first.
///
/// @param characters of each window of each model
/// @param latency null when it was not measured
/// @param seed of the bootstrap
record Findings(
        List<Candidate> candidates,
        List<Decoder> decoders,
        List<ModelSize> sizes,
        List<TokenWindows> windows,
        List<long[]> characters,
        List<Scores> scores,
        Latency.@Nullable Result latency,
        long seed) {
    List<Report.Variant> variants() {
        List<Report.Variant> variants = new ArrayList<>();
        for (int i = 0; i < candidates.size(); i++) {
            variants.add(variant(i));
        }
        return variants;
    }

    private Report.Variant variant(int i) {
        Candidate candidate = candidates.get(i);
        ModelSize size = sizes.get(i);
        Divergence divergence = scores.get(i).divergence();
        return new Report.Variant(
                candidate.name(),
                candidate.source(),
                size.weightBytes(),
                size.folderBytes(),
                size.parameters(),
                size.bitsPerWeight(),
                decoders.get(i).memoryBytes(),
                decoders.get(i).spec().cacheBytesPerToken(),
                perplexity(i),
                divergence == null
                        ? null
                        : new Report.Divergence(
                                Quality.meanDivergence(divergence),
                                Quality.divergenceP99(divergence)),
                divergence == null ? null : Quality.sameTop(divergence),
                latency == null ? null : latency(latency.models().get(i)),
                candidate.compressSeconds(),
                candidate.recipe(),
                size.linears(),
                decoders.get(i).kernels(),
                candidate.layers(),
                candidate.stages(),
                i == 0 ? null : ratios(i),
                bitsPerCharacter(i),
                candidate.trainings());
    }

    private Report.BitsPerCharacter bitsPerCharacter(int i) {
        Estimate estimate = Quality.bitsPerCharacter(scores.get(i), characters.get(i), seed);
        Interval interval = estimate.interval();
        return new Report.BitsPerCharacter(
                estimate.value(),
                Arrays.stream(characters.get(i)).sum(),
                interval == null ? null : interval.low(),
                interval == null ? null : interval.high());
    }

    private Report.Perplexity perplexity(int i) {
        Estimate estimate = Quality.perplexity(scores.get(i), seed);
        Interval interval = estimate.interval();
        return new Report.Perplexity(
                estimate.value(),
                scores.get(i).scored(),
                windows.get(i).context(),
                interval == null ? null : interval.low(),
                interval == null ? null : interval.high());
    }

    private Report.Ratios ratios(int i) {
        double bytes = (double) sizes.get(i).weightBytes() / sizes.getFirst().weightBytes();
        Estimate bits =
                Quality.bitsPerCharacterRatio(
                        scores.get(i),
                        characters.get(i),
                        scores.getFirst(),
                        characters.getFirst(),
                        seed);
        Report.Noise times = latency == null ? null : times(latency, latency.models().get(i));
        return new Report.Ratios(
                new Report.Ratio(bytes, null, null, null),
                scores.get(i).divergence() == null
                        ? null
                        : ratio(
                                Quality.perplexityRatio(scores.get(i), scores.getFirst(), seed),
                                null),
                times == null ? null : times.ttft(),
                times == null ? null : times.tpot(),
                ratio(bits, null));
    }

    /// How latency was measured, or null when it was not.
    Report.@Nullable LatencySettings latencySettings() {
        return latency == null
                ? null
                : new Report.LatencySettings(
                        latency.options().pairs(),
                        latency.options().promptTokens(),
                        latency.options().outputTokens(),
                        times(latency, latency.again()));
    }

    private Report.Noise times(Latency.Result result, LatencySamples samples) {
        LatencySamples original = result.models().getFirst();
        Estimate firstToken = samples.firstTokenRatio(original, seed);
        Estimate perToken = samples.perTokenRatio(original, seed);
        return new Report.Noise(
                ratio(firstToken, Verdict.of(firstToken.interval())),
                ratio(perToken, Verdict.of(perToken.interval())));
    }

    private static Report.Ratio ratio(Estimate estimate, @Nullable Verdict verdict) {
        Interval interval = estimate.interval();
        return new Report.Ratio(
                estimate.value(),
                interval == null ? null : interval.low(),
                interval == null ? null : interval.high(),
                verdict == null ? null : verdict.label());
    }

    private static Report.Latency latency(LatencySamples samples) {
        return new Report.Latency(
                spread(Percentiles.of(samples.firstToken())),
                spread(Percentiles.of(samples.perToken())),
                samples.tokensPerSecond(),
                new Report.Samples(micros(samples.firstToken()), micros(samples.perToken())));
    }

    /// To the microsecond.
    private static List<Double> micros(double[] millis) {
        return Arrays.stream(millis).mapToObj(time -> Math.round(time * 1e3) / 1e3).toList();
    }

    private static Report.Spread spread(Percentiles percentiles) {
        return new Report.Spread(percentiles.p50(), percentiles.p95(), percentiles.p99());
    }
}
