package dev.lithe.report;

import dev.lithe.evaluate.Bootstrap;
import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Evaluation;
import dev.lithe.evaluate.EvaluationText;
import dev.lithe.evaluate.Interval;
import dev.lithe.evaluate.Latency;
import dev.lithe.evaluate.LatencySamples;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.evaluate.Percentiles;
import dev.lithe.evaluate.ProgressListener;
import dev.lithe.evaluate.Quality;
import dev.lithe.evaluate.Scores;
import dev.lithe.evaluate.Scores.Divergence;
import dev.lithe.evaluate.Subject;
import dev.lithe.evaluate.TokenWindows;
import dev.lithe.evaluate.Verdict;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.ModelSpec;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Measures an original and its compressed copies side by side, from what is on disk, and makes the
/// report.
public final class Measurement implements AutoCloseable {
    private final List<Candidate> candidates;
    private final MeasureOptions options;
    private final ProgressListener progress;
    private final List<Decoder> decoders = new ArrayList<>();
    private final List<Subject> subjects = new ArrayList<>();

    private Measurement(
            List<Candidate> candidates, MeasureOptions options, ProgressListener progress) {
        this.candidates = candidates;
        this.options = options;
        this.progress = progress;
    }

    /// Loads all models, scores them on the same windows, times them in turn, and frees them.
    ///
    /// @param compressed none, one or several
    /// @throws LitheException where the text or a model cannot be used, or the models cannot be
    ///   compared
    public static Report measure(
            Candidate original,
            List<Candidate> compressed,
            MeasureOptions options,
            ProgressListener progress) {
        List<Candidate> candidates = new ArrayList<>(List.of(original));
        candidates.addAll(compressed);
        try (var measurement = new Measurement(candidates, options, progress)) {
            return measurement.run();
        }
    }

    private Report run() {
        EvaluationText text = EvaluationText.read(options.text());
        Report.Text calibration = calibrationText(text);
        int[] ids = SharedTokens.of(text, candidates.stream().map(Candidate::folder).toList());
        List<ModelSize> sizes = candidates.stream().map(c -> ModelSize.of(c.folder())).toList();
        load();
        ModelSpec spec = subjects.getFirst().decoder().spec();
        SharedTokens.checkRange(ids, candidates.getFirst().folder(), spec.vocabSize());
        var windows =
                TokenWindows.of(
                        ids,
                        options.contextFor(positions()),
                        options.tokens(),
                        options.scoring(),
                        spec.bosToken());
        List<Scores> scores = Evaluation.run(subjects, windows, progress);
        Latency.Result latency =
                options.latency().pairs() == 0
                        ? null
                        : Latency.measure(subjects, ids, options.latency(), progress);
        List<Report.Variant> variants = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            variants.add(variant(i, sizes, windows.context(), scores, latency));
        }
        Candidate original = candidates.getFirst();
        return new Report(
                Report.SCHEMA,
                new Report.Model(
                        String.valueOf(original.folder().toAbsolutePath().normalize().getFileName()),
                        spec.architecture(),
                        sizes.getFirst().parameters(),
                        original.source()),
                Surroundings.now(Clock.systemUTC()),
                new Report.Evaluation(
                        new Report.Text(text.name(), text.sha256()),
                        windows.tokens(),
                        windows.scored(),
                        windows.count(),
                        windows.context(),
                        windows.scoring().label(),
                        options.seed(),
                        Bootstrap.RESAMPLES,
                        calibration,
                        latency == null ? null : settings(latency)),
                variants);
    }

    private Report.@Nullable Text calibrationText(EvaluationText text) {
        Path file = options.calibrationText();
        if (file == null) {
            return null;
        }
        EvaluationText calibration = EvaluationText.read(file);
        if (calibration.sha256().equals(text.sha256())) {
            throw LitheException.badInput(
                    "%s was calibrated with, so it cannot measure; give another --text",
                    options.text());
        }
        return new Report.Text(calibration.name(), calibration.sha256());
    }

    private void load() {
        for (Candidate candidate : candidates) {
            Decoder decoder = Decoder.open(candidate.folder());
            decoders.add(decoder);
            subjects.add(new Subject(candidate.name(), decoder));
        }
    }

    private int positions() {
        return decoders.stream()
                .mapToInt(decoder -> decoder.spec().maxPositions())
                .min()
                .orElseThrow();
    }

    private Report.Variant variant(
            int i,
            List<ModelSize> sizes,
            int context,
            List<Scores> scores,
            Latency.@Nullable Result latency) {
        Candidate candidate = candidates.get(i);
        ModelSize size = sizes.get(i);
        Decoder decoder = decoders.get(i);
        Divergence divergence = scores.get(i).divergence();
        return new Report.Variant(
                candidate.name(),
                candidate.source(),
                size.weightBytes(),
                size.folderBytes(),
                size.parameters(),
                size.bitsPerWeight(),
                decoder.memoryBytes(),
                perplexity(scores.get(i), context),
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
                decoder.kernels(),
                i == 0 ? null : ratios(i, sizes, scores, latency));
    }

    private Report.Perplexity perplexity(Scores scores, int context) {
        Estimate estimate = Quality.perplexity(scores, options.seed());
        Interval interval = estimate.interval();
        return new Report.Perplexity(
                estimate.value(),
                scores.scored(),
                context,
                interval == null ? null : interval.low(),
                interval == null ? null : interval.high());
    }

    private Report.Ratios ratios(
            int i,
            List<ModelSize> sizes,
            List<Scores> scores,
            Latency.@Nullable Result latency) {
        double bytes =
                (double) sizes.get(i).weightBytes() / sizes.getFirst().weightBytes();
        Estimate perplexity =
                Quality.perplexityRatio(scores.get(i), scores.getFirst(), options.seed());
        Report.Noise times =
                latency == null
                        ? null
                        : times(latency.models().get(i), latency.models().getFirst());
        return new Report.Ratios(
                new Report.Ratio(bytes, null, null, null),
                ratio(perplexity, null),
                times == null ? null : times.ttft(),
                times == null ? null : times.tpot());
    }

    private Report.LatencySettings settings(Latency.Result latency) {
        return new Report.LatencySettings(
                latency.options().pairs(),
                latency.options().promptTokens(),
                latency.options().outputTokens(),
                times(latency.again(), latency.models().getFirst()));
    }

    private Report.Noise times(LatencySamples samples, LatencySamples base) {
        Estimate firstToken = samples.firstTokenRatio(base, options.seed());
        Estimate perToken = samples.perTokenRatio(base, options.seed());
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
                samples.tokensPerSecond());
    }

    private static Report.Spread spread(Percentiles percentiles) {
        return new Report.Spread(percentiles.p50(), percentiles.p95(), percentiles.p99());
    }

    @Override
    public void close() {
        decoders.forEach(Decoder::close);
    }
}
