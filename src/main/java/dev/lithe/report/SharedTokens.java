package dev.lithe.report;

import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/// The token ids of a text that several models agree on.
final class SharedTokens {
    private SharedTokens() {}

    /// The ids by the first folder's tokenizer.
    ///
    /// @throws LitheException where another folder's tokenizer splits the text differently
    static int[] of(TextFile text, List<Path> folders) {
        Path first = folders.getFirst();
        int[] ids = tokenize(text, first);
        for (Path folder : folders.subList(1, folders.size())) {
            if (sameTokenizer(first, folder)) {
                continue;
            }
            int mismatch = Arrays.mismatch(ids, tokenize(text, folder));
            if (mismatch >= 0) {
                throw LitheException.badInput(
                        "%s and %s split %s differently (first at token %d), so their scores cannot be"
                                + " compared; give models with the same tokenizer",
                        first, folder, text.name(), mismatch);
            }
        }
        return ids;
    }

    private static int[] tokenize(TextFile text, Path folder) {
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            return text.tokenize(tokenizer);
        }
    }

    private static boolean sameTokenizer(Path a, Path b) {
        try {
            return Files.mismatch(a.resolve("tokenizer.json"), b.resolve("tokenizer.json")) < 0;
        } catch (IOException _) {
            return false; // opening them tells what is wrong
        }
    }

    /// Refuses ids that the model has no embedding for.
    static void checkRange(int[] ids, Path folder, int vocabSize) {
        int highest = Arrays.stream(ids).max().orElse(0);
        if (highest >= vocabSize) {
            throw LitheException.badInput(
                    "%s: its tokenizer gives token %d, but config.json has a vocabulary of %d",
                    folder, highest, vocabSize);
        }
    }
}
