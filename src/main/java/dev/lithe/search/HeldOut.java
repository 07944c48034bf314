package dev.lithe.search;

import dev.lithe.evaluate.Scoring;
import dev.lithe.evaluate.TokenWindows;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// A calibration text cut in two: what candidates are calibrated with, and what ranks them. The
/// evaluation text has no part in that.
///
/// @param calibration the file with the first three quarters
/// @param ids of the rest
record HeldOut(Path calibration, int[] ids) {
    private static final double SHARE = 0.75;
    private static final int CONTEXT = 256;

    /// Cuts `text` at the end of a line, and writes the first part into `folder`.
    static HeldOut of(Path text, Path folder, Path model) {
        TextFile file = TextFile.read(text);
        String content = file.content();
        int middle = (int) (content.length() * SHARE);
        int end = content.indexOf('\n', middle);
        int cut = end < 0 ? middle : end + 1;
        Path first = folder.resolve("calibration.txt");
        try (Tokenizer tokenizer = Tokenizer.open(model)) {
            Files.writeString(first, content.substring(0, cut));
            return new HeldOut(first, tokenizer.encode(content.substring(cut), false));
        } catch (IOException e) {
            throw LitheException.badInput("%s: cannot be written: %s", first, e.getMessage())
                    .causedBy(e);
        }
    }

    /// Windows of the first held-out tokens, `tokens` at most.
    TokenWindows windows(int tokens, ModelSpec spec) {
        int context = Math.min(CONTEXT, spec.maxPositions());
        return TokenWindows.of(ids, context, tokens, Scoring.ALL, spec.bosToken());
    }
}
