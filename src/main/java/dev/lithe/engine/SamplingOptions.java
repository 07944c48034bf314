package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.OptionalLong;

/// How the next token is chosen from the logits.
///
/// @param temperature divides the logits; 0 chooses the most likely token, from 0 to 100
/// @param topK draw among the k most likely only; 0 means all
/// @param topP draw among the most likely that reach this probability together; above 0, up to 1
/// @param minP draw among those at least this fraction as likely as the first; from 0, below 1
/// @param repetitionPenalty divides positive and multiplies negative logits of tokens that occurred
///   (Keskar et al. 2019, arXiv:1909.05858, eq. 2); from 0.01 to 10, and 1 changes nothing
/// @param seed where the draws start; empty lets the engine choose one
public record SamplingOptions(
        double temperature,
        int topK,
        double topP,
        double minP,
        double repetitionPenalty,
        OptionalLong seed) {
    private static final double MAX_TEMPERATURE = 100;
    private static final double MIN_PENALTY = 0.01;
    private static final double MAX_PENALTY = 10;

    /// The most likely token, always.
    public static final SamplingOptions GREEDY =
            new SamplingOptions(0, 0, 1, 0, 1, OptionalLong.empty());

    public SamplingOptions {
        // Negated comparisons, so that NaN is refused too.
        if (!(temperature >= 0 && temperature <= MAX_TEMPERATURE)) {
            throw LitheException.badField(
                    "temperature",
                    "%s is out of range; use 0 (greedy) to %s",
                    temperature,
                    MAX_TEMPERATURE);
        }
        if (topK < 0) {
            throw LitheException.badField("top_k", "%d is negative; use 0 (all) or more", topK);
        }
        if (!(topP > 0 && topP <= 1)) {
            throw LitheException.badField(
                    "top_p", "%s is out of range; use above 0, up to 1 (all)", topP);
        }
        if (!(minP >= 0 && minP < 1)) {
            throw LitheException.badField(
                    "min_p", "%s is out of range; use 0 (all) or more, below 1", minP);
        }
        if (!(repetitionPenalty >= MIN_PENALTY && repetitionPenalty <= MAX_PENALTY)) {
            throw LitheException.badField(
                    "repetition_penalty",
                    "%s is out of range; use %s to %s; 1 changes nothing",
                    repetitionPenalty,
                    MIN_PENALTY,
                    MAX_PENALTY);
        }
    }

    /// Whether the most likely token is chosen without a draw.
    public boolean greedy() {
        return temperature == 0;
    }
}
