package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.List;

/// How likely the model found a token, before penalties, temperature and filters.
///
/// @param logprob natural logarithm of its probability
/// @param rank 1 for the likeliest; tokens as likely as this one do not count before it
/// @param top the likeliest tokens, from the first on
public record TokenLogprobs(int id, float logprob, int rank, List<Candidate> top) {
    /// Most candidates beside a token.
    public static final int MAX_TOP = 20;

    /// A token that could have been.
    public record Candidate(int id, float logprob) {}

    public TokenLogprobs {
        top = List.copyOf(top);
    }

    /// Checks how many candidates a request asks for.
    static void requireTop(int top) {
        if (top < 0 || top > MAX_TOP) {
            throw LitheException.badField(
                    "top_logprobs",
                    "%s candidates; use at most %d",
                    Integer.toUnsignedString(top),
                    MAX_TOP);
        }
    }

    /// Of token `id`, from the logits (V) of its position.
    ///
    /// @param top how many candidates to name; no more than there are
    static TokenLogprobs of(float[] logits, int id, int top) {
        double all = logSumExp(logits);
        int rank = 1;
        for (float logit : logits) {
            if (logit > logits[id]) {
                rank++;
            }
        }
        List<Candidate> candidates = new ArrayList<>(top);
        if (top > 0) {
            var order = new LikeliestFirst(logits);
            for (int i = 0; i < Math.min(top, logits.length); i++) {
                int next = order.next();
                candidates.add(new Candidate(next, (float) (logits[next] - all)));
            }
        }
        return new TokenLogprobs(id, (float) (logits[id] - all), rank, candidates);
    }

    private static double logSumExp(float[] logits) {
        float largest = Float.NEGATIVE_INFINITY;
        for (float logit : logits) {
            largest = Math.max(largest, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - largest);
        }
        return largest + Math.log(sum);
    }
}
