package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The merges of a SentencePiece vocabulary. SentencePiece joins the two neighbours whose joint has
/// the highest score; so every way to make a piece of two others is a merge, and its rank is the
/// piece's score, as Hugging Face's converter has it.
final class PieceMerges {
    private static final int LONGEST = 512;

    /// Two pieces that become one.
    record Merge(String left, String right, double score) {}

    private PieceMerges() {}

    /// The merges of `pieces`, the first to be done first.
    static List<Merge> of(List<String> pieces, List<Double> scores, Path file) {
        Map<String, Double> known = new HashMap<>();
        for (int i = 0; i < pieces.size(); i++) {
            known.put(pieces.get(i), scores.get(i));
        }
        List<Merge> merges = new ArrayList<>();
        for (int i = 0; i < pieces.size(); i++) {
            String piece = pieces.get(i);
            if (piece.length() > LONGEST) {
                throw LitheException.badInput(
                        "%s: token %d is %d characters long, the limit is %d",
                        file, i, piece.length(), LONGEST);
            }
            for (int at = 1; at < piece.length(); at++) {
                String left = piece.substring(0, at);
                String right = piece.substring(at);
                if (!Character.isLowSurrogate(piece.charAt(at))
                        && known.containsKey(left)
                        && known.containsKey(right)) {
                    merges.add(new Merge(left, right, scores.get(i)));
                }
            }
        }
        merges.sort(
                Comparator.comparingDouble(Merge::score)
                        .thenComparing(merge -> merge.left().length())
                        .thenComparing(merge -> merge.right().length())
                        .reversed());
        return merges;
    }
}
