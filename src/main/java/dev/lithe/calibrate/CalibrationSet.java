package dev.lithe.calibrate;

import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/// Windows of a text, at places drawn with a seed; they may overlap. No special tokens are added. A
/// short text gives no more windows than would fill it side by side: more would only repeat it.
///
/// @param text where they come from
/// @param windows (samples, context) token ids
/// @param seed that drew the places
public record CalibrationSet(TextFile text, long[][] windows, long seed) {
    /// Draws the windows that `options` asks for.
    ///
    /// @param text overrides the one in `options`
    /// @param model the folder whose tokenizer splits the text
    /// @throws LitheException where the text cannot fill a window, or does not fit the model
    public static CalibrationSet draw(
            Path text, CalibrationOptions options, Path model, ModelSpec spec) {
        TextFile file = TextFile.read(text);
        int context = options.contextFor(spec.maxPositions());
        int[] ids = tokenize(file, model);
        if (ids.length < context) {
            throw LitheException.badInput(
                    "%s has %d tokens, a calibration window takes %d; give a longer text or a smaller context",
                    text, ids.length, context);
        }
        int highest = Arrays.stream(ids).max().orElse(0);
        if (highest >= spec.vocabSize()) {
            throw LitheException.badInput(
                    "%s: its tokenizer gives token %d, but config.json has a vocabulary of %d",
                    model, highest, spec.vocabSize());
        }
        var random = new Random(options.seed());
        long[][] windows = new long[Math.min(options.samples(), ids.length / context)][];
        for (int i = 0; i < windows.length; i++) {
            int first = random.nextInt(ids.length - context + 1);
            windows[i] = Arrays.stream(ids, first, first + context).asLongStream().toArray();
        }
        return new CalibrationSet(file, windows, options.seed());
    }

    private static int[] tokenize(TextFile text, Path model) {
        try (Tokenizer tokenizer = Tokenizer.open(model)) {
            return text.tokenize(tokenizer);
        }
    }

    /// All of its text, side by side in windows as long as these; these, where it has no text.
    ///
    /// @param model the folder whose tokenizer splits the text
    public CalibrationSet whole(Path model) {
        if (text.content().isEmpty()) {
            return this;
        }
        int[] ids = tokenize(text, model);
        long[][] all = new long[ids.length / context()][];
        for (int i = 0; i < all.length; i++) {
            int first = i * context();
            all[i] = Arrays.stream(ids, first, first + context()).asLongStream().toArray();
        }
        return new CalibrationSet(text, all, seed);
    }

    /// The first `count` windows, or all where there are fewer.
    public CalibrationSet first(int count) {
        return new CalibrationSet(
                text, Arrays.copyOf(windows, Math.min(count, windows.length)), seed);
    }

    /// How many windows there are.
    public int samples() {
        return windows.length;
    }

    /// Tokens of each.
    public int context() {
        return windows[0].length;
    }

    /// Token ids of windows `from` to `to - 1`, row by row.
    long[] ids(int from, int to) {
        return Arrays.stream(windows, from, to).flatMapToLong(Arrays::stream).toArray();
    }
}
