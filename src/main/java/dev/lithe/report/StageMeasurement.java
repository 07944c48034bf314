package dev.lithe.report;

import dev.lithe.evaluate.BriefScore;
import dev.lithe.evaluate.ModelSize;
import dev.lithe.evaluate.TokenWindows;
import dev.lithe.model.Decoder;
import dev.lithe.model.ModelSpec;
import dev.lithe.tokenize.TextFile;
import java.nio.file.Path;

/// Measures what stages of a recipe leave, each from its folder, on the first windows of a text.
public final class StageMeasurement implements AutoCloseable {
    /// Enough for a divergence within a few percent.
    private static final int TOKENS = 2048;

    private final Path folder;
    private final Decoder original;
    private final MeasureOptions options;
    private final TextFile text;
    private final TextTokens tokens;

    /// @param folder the original's
    public StageMeasurement(Path folder, MeasureOptions options) {
        this.folder = folder;
        this.original = Decoder.open(folder, options.device());
        this.options = options;
        this.text = TextFile.read(options.text());
        this.tokens = TextTokens.of(text, folder);
    }

    /// Where the stages begin.
    public Report.Stage original() {
        return new Report.Stage("original", ModelSize.of(folder).weightBytes(), 1.0, 0.0);
    }

    /// What the stage `name` left in the folder `made`.
    public Report.Stage of(String name, Path made) {
        long bytes = ModelSize.of(made).weightBytes();
        TextTokens theirs = TextTokens.of(text, made);
        try (Decoder decoder = Decoder.open(made, options.device())) {
            if (!theirs.isLike(tokens)
                    || decoder.spec().vocabSize() != original.spec().vocabSize()) {
                return new Report.Stage(name, bytes, null, null);
            }
            ModelSpec spec = original.spec();
            int context = options.contextFor(spec.maxPositions());
            long most = Math.max(context, Math.min(TOKENS, options.tokens()));
            var windows =
                    TokenWindows.of(
                            tokens.ids(), context, most, options.scoring(), spec.bosToken());
            var score = BriefScore.of(original, decoder, windows);
            return new Report.Stage(name, bytes, score.perplexityRatio(), score.klDivergence());
        }
    }

    @Override
    public void close() {
        original.close();
    }
}
