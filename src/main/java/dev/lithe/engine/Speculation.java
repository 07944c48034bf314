package dev.lithe.engine;

import dev.lithe.fault.LitheException;

/// Speculative decoding: a small model guesses the next few tokens of a large one, which then reads
/// them all at once and keeps those that it would have chosen itself (Leviathan et al. 2023,
/// arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318).
///
/// The answer is that of the target alone, token for token, sampled ones of a seed included: what
/// is handed out is always the target's own choice, and a guess only saves a step where it is the
/// same. Nothing that the draft does, however wrong or broken, changes an answer. (Where libtorch
/// computes, its results of one row and of several differ in their last bits, as they do for
/// neighbours in a batch; the native kernels' do not.)
///
/// @param target whose answers they are
/// @param draft of the same vocabulary
/// @param most tokens guessed at once; how many pays is measured, none included
public record Speculation(ServedModel target, ServedModel draft, int most) {
    /// Tokens guessed at once, at most, where nobody says how many.
    public static final int DEFAULT_MOST = 8;

    private static final int LIMIT = 16;

    public Speculation {
        requireMost(most);
        requireRewinding("target", target);
        requireRewinding("draft", draft);
        int vocabulary = target.decoder().spec().vocabSize();
        int other = draft.decoder().spec().vocabSize();
        if (vocabulary != other) {
            throw LitheException.badInput(
                    "the draft has a vocabulary of %d tokens, its target one of %d; they must be the"
                            + " same",
                    other, vocabulary);
        }
    }

    private static void requireRewinding(String role, ServedModel model) {
        int heavy = model.decoder().spec().sparseAttention().heavy();
        if (heavy > 0) {
            throw LitheException.badInput(
                    "the %s keeps %d heavy hitters (sparse_attention) and cannot take back what was"
                            + " guessed wrong; serve without a draft, or leave heavy out",
                    role, heavy);
        }
    }

    /// Checks how many tokens may be guessed at once.
    public static int requireMost(int most) {
        if (most < 1 || most > LIMIT) {
            throw LitheException.badInput("%d tokens to guess at once; use 1 to %d", most, LIMIT);
        }
        return most;
    }
}
