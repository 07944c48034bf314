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
        int[] ids = TextTokens.of(text, original).ids();
        try (var checkpoint = Checkpoint.open(original)) {
            ModelSpec spec = ModelSpec.of(checkpoint.config(), original + "/config.json");
            TextTokens.checkRange(ids, original, spec.vocabSize());
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
        List<TextTokens> tokens = TextTokens.of(text, candidates);
        List<ModelSize> sizes = candidates.stream().map(c -> ModelSize.of(c.folder())).toList();
        load();
        List<TokenWindows> windows = windows(tokens);
        List<Scores> scores = scores(tokens, windows);
        List<long[]> characters = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            characters.add(windows.get(i).characters(tokens.get(i).ends()));
        }
        Latency.Result latency =
                options.latency().pairs() == 0
                        ? null
                        : Latency.measure(
                                subjects,
                                tokens.stream().map(TextTokens::ids).toList(),
                                options.latency(),
                                progress);
        var findings =
                new Findings(
                        candidates,
                        decoders,
                        sizes,
                        windows,
                        characters,
                        scores,
                        latency,
                        options.seed());
        TokenWindows read = windows.getFirst();
        ModelSpec spec = decoders.getFirst().spec();
        Candidate original = candidates.getFirst();
        return new Report(
                Report.SCHEMA,
                new Report.Model(
                        String.valueOf(
                                original.folder().toAbsolutePath().normalize().getFileName()),
                        spec.architecture(),
                        sizes.getFirst().parameters(),
                        original.source()),
                Surroundings.now(Clock.systemUTC(), options.device()),
                new Report.Evaluation(
                        new Report.Text(text.name(), text.sha256()),
                        read.tokens(),
                        read.scored(),
                        read.count(),
                        read.context(),
                        read.scoring().label(),
                        options.seed(),
                        Bootstrap.RESAMPLES,
                        calibration,
                        findings.latencySettings()),
                findings.variants(),
                continuations(tokens, read.context()));
    }

    /// Each model's, over the same part of the text.
    private List<TokenWindows> windows(List<TextTokens> tokens) {
        int context = options.contextFor(positions());
        List<TokenWindows> windows = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            ModelSpec spec = decoders.get(i).spec();
            int[] ids = tokens.get(i).ids();
            TextTokens.checkRange(ids, candidates.get(i).folder(), spec.vocabSize());
            long limit =
                    i == 0
                            ? options.tokens()
                            : tokens.get(i)
                                    .sameText(tokens.getFirst(), windows.getFirst().tokens());
            windows.add(TokenWindows.of(ids, context, limit, options.scoring(), spec.bosToken()));
        }
        return windows;
    }

    /// Models that split the text alike are compared token by token, the others are scored alone.
    private List<Scores> scores(List<TextTokens> tokens, List<TokenWindows> windows) {
        List<Subject> alike = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            if (isLikeOriginal(i, tokens)) {
                alike.add(subjects.get(i));
            }
        }
        var compared = Evaluation.run(alike, windows.getFirst(), progress).iterator();
        List<Scores> scores = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            scores.add(
                    isLikeOriginal(i, tokens)
                            ? compared.next()
                            : Evaluation.run(List.of(subjects.get(i)), windows.get(i), progress)
                                    .getFirst());
        }
        return scores;
    }

    private boolean isLikeOriginal(int i, List<TextTokens> tokens) {
        return tokens.get(i).isLike(tokens.getFirst())
                && decoders.get(i).spec().vocabSize() == decoders.getFirst().spec().vocabSize();
    }

    private List<Report.Continuation> continuations(List<TextTokens> tokens, int context) {
        List<int[]> prompts = Continuations.prompts(tokens.getFirst().ids(), context);
        List<String> words = new ArrayList<>();
        List<List<String>> answers = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            try (var tokenizer = Tokenizer.open(candidates.get(i).folder())) {
                for (int j = 0; j < prompts.size(); j++) {
                    if (i == 0) {
                        words.add(tokenizer.decode(prompts.get(j)));
                        answers.add(new ArrayList<>());
                    }
                    int[] prompt =
                            tokens.get(i).isLike(tokens.getFirst())
                                    ? prompts.get(j)
                                    : tokenizer.encode(words.get(j), false);
                    int[] answer = Continuations.answer(decoders.get(i), prompt, context);
                    answers.get(j).add(tokenizer.decode(answer));
                }
            }
        }
        List<Report.Continuation> continuations = new ArrayList<>();
        for (int j = 0; j < prompts.size(); j++) {
            continuations.add(new Report.Continuation(words.get(j), answers.get(j)));
        }
        return continuations;
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
            Decoder decoder = Decoder.open(candidate.folder(), options.device());
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
