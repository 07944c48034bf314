package dev.lithe.report;

import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// The tokens that a model splits a text into.
///
/// @param ids without special tokens
/// @param ends how many characters lie before the end of each
record TextTokens(int[] ids, int[] ends) {
    /// By the tokenizer in `folder`.
    static TextTokens of(TextFile text, Path folder) {
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            return new TextTokens(text.tokenize(tokenizer), tokenizer.ends(text.content()));
        }
    }

    /// By the tokenizers of all `candidates`.
    static List<TextTokens> of(TextFile text, List<Candidate> candidates) {
        Path first = candidates.getFirst().folder();
        List<TextTokens> tokens = new ArrayList<>(List.of(of(text, first)));
        for (Candidate candidate : candidates.subList(1, candidates.size())) {
            boolean same = sameTokenizer(first, candidate.folder());
            tokens.add(same ? tokens.getFirst() : of(text, candidate.folder()));
        }
        return tokens;
    }

    private static boolean sameTokenizer(Path a, Path b) {
        try {
            return Files.mismatch(a.resolve("tokenizer.json"), b.resolve("tokenizer.json")) < 0;
        } catch (IOException _) {
            return false; // opening them tells what is wrong
        }
    }

    /// Whether these are the same tokens.
    boolean isLike(TextTokens other) {
        return Arrays.equals(ids, other.ids);
    }

    /// How many of these lie in the text of the first `count` of `others`.
    int sameText(TextTokens others, int count) {
        int end = others.ends[Math.min(count, others.ends.length) - 1];
        int tokens = ids.length;
        while (tokens > 1 && ends[tokens - 1] > end) {
            tokens--;
        }
        return isLike(others) ? count : tokens;
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
