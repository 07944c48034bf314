package dev.lithe.report;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.evaluate.Bootstrap;
import dev.lithe.evaluate.Continuations;
import dev.lithe.evaluate.Evaluation;
import dev.lithe.evaluate.Latency;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.evaluate.ProgressListener;
import dev.lithe.evaluate.Scores;
import dev.lithe.evaluate.Subject;
import dev.lithe.evaluate.TokenWindows;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.ModelSpec;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
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

    /// Checks, before the work of compressing it, that `original` can be measured by `options`.
    ///
    /// @throws LitheException where [#measure] would refuse text, tokenizer or context
    public static void check(Path original, MeasureOptions options) {
        options.requireDistinctTexts();
        TextFile text = TextFile.read(options.text());
        int[] ids = SharedTokens.of(text, List.of(original));
        try (var checkpoint = Checkpoint.open(original)) {
            ModelSpec spec = ModelSpec.of(checkpoint.config(), original + "/config.json");
            SharedTokens.checkRange(ids, original, spec.vocabSize());
            var _ =
                    TokenWindows.of(
                            ids,
                            options.contextFor(spec.maxPositions()),
                            options.tokens(),
                            options.scoring(),
                            spec.bosToken());
        }
    }

    private Report run() {
        options.requireDistinctTexts();
        TextFile text = TextFile.read(options.text());
        Report.Text calibration = calibrationText(text);
        int[] ids = SharedTokens.of(text, candidates.stream().map(Candidate::folder).toList());
        List<ModelSize> sizes = candidates.stream().map(c -> ModelSize.of(c.folder())).toList();
        load();
        ModelSpec spec = decoders.getFirst().spec();
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
        var findings =
                new Findings(candidates, decoders, sizes, windows, scores, latency, options.seed());
        Candidate original = candidates.getFirst();
        return new Report(
                Report.SCHEMA,
                new Report.Model(
                        String.valueOf(
                                original.folder().toAbsolutePath().normalize().getFileName()),
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
                        findings.latencySettings()),
                findings.variants(),
                continuations(ids, windows.context()));
    }

    private List<Report.Continuation> continuations(int[] ids, int context) {
        try (var tokenizer = Tokenizer.open(candidates.getFirst().folder())) {
            return Continuations.of(subjects, ids, context).stream()
                    .map(each ->
                            new Report.Continuation(
                                    tokenizer.decode(each.prompt()),
                                    each.answers().stream().map(tokenizer::decode).toList()))
                    .toList();
        }
    }

    /// What the compressed models were calibrated with: what the caller says, or else their own
    /// notes.
    ///
    /// @throws LitheException where that is `text`
    private Report.@Nullable Text calibrationText(TextFile text) {
        Path file = options.calibrationText();
        if (file != null) {
            TextFile calibration = TextFile.read(file);
            return new Report.Text(calibration.name(), calibration.sha256());
        }
        Report.Text first = null;
        for (Candidate candidate : candidates) {
            Report.Text noted = Candidate.calibrationText(candidate.folder());
            if (noted != null && noted.sha256().equals(text.sha256())) {
                throw LitheException.badInput(
                        "%s was calibrated with %s, so that cannot measure it; give another --text",
                        candidate.folder(), text.name());
            }
            first = first == null ? noted : first;
        }
        return first;
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

    @Override
    public void close() {
        decoders.forEach(Decoder::close);
    }
}
