package dev.lithe.engine;

import java.util.List;

/// What speculation did since the start.
///
/// @param drafts times that tokens were guessed for a sequence
/// @param draftTokens tokens guessed
/// @param acceptedTokens those of them that were right
/// @param acceptedAt the same by their place in a draft, from the first on
/// @param speedup time per token of plain steps over that of steps with guesses, drafting included,
///   both measured lately and in turn; 1 where nothing was measured
/// @param active whether the last step could guess, and none was spared because it does not pay
/// @param switchedOff times that it was switched off because it did not pay
public record SpeculationCounts(
        long drafts,
        long draftTokens,
        long acceptedTokens,
        List<Long> acceptedAt,
        double speedup,
        boolean active,
        long switchedOff) {
    public SpeculationCounts {
        acceptedAt = List.copyOf(acceptedAt);
    }

    /// The part of the guessed tokens that was right; 0 where none was guessed.
    public double acceptance() {
        return draftTokens == 0 ? 0 : acceptedTokens / (double) draftTokens;
    }
}
