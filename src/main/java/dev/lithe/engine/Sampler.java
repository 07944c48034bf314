package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.Arrays;
import java.util.BitSet;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/// Chooses tokens: repetition penalty, temperature, top-k, top-p (Holtzman et al. 2020,
/// arXiv:1904.09751), min-p (Nguyen et al. 2024, arXiv:2407.01082), then one draw. Each filter sees
/// what the one before it left, renormalized. Ties go to the lower id.
final class Sampler {
    private final SamplingOptions options;
    private final RandomGenerator random;
    private final BitSet occurred = new BitSet();

    Sampler(SamplingOptions options, long seed) {
        this.options = options;
        this.random = new SplittableRandom(seed);
    }

    /// Tells it of tokens in the text, for the repetition penalty.
    void occurred(int... ids) {
        for (int id : ids) {
            occurred.set(id);
        }
    }

    /// The next token.
    ///
    /// @param logits (V), changed in place
    /// @throws LitheException where a logit is not a number
    int next(float[] logits) {
        penalize(logits);
        int best = best(logits);
        if (options.greedy()) {
            return best;
        }
        int[] ids = candidates(logits, logits[best]);
        return draw(ids, weights(ids, logits, logits[best]));
    }

    private void penalize(float[] logits) {
        if (options.repetitionPenalty() == 1) {
            return;
        }
        float penalty = (float) options.repetitionPenalty();
        for (int id = occurred.nextSetBit(0); id >= 0; id = occurred.nextSetBit(id + 1)) {
            logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
        }
    }

    private static int best(float[] logits) {
        int best = 0;
        for (int id = 0; id < logits.length; id++) {
            if (Float.isNaN(logits[id])) {
                throw LitheException.of(
                        Fault.INTERNAL,
                        "logit %d of %d is not a number; the model's weights are broken",
                        id,
                        logits.length);
            }
            if (logits[id] > logits[best]) {
                best = id;
            }
        }
        if (Float.isInfinite(logits[best])) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "the largest logit is %s; the model's weights are broken",
                    logits[best]);
        }
        return best;
    }

    /// Ids that may be drawn as far as top-k and top-p say, from the most likely on where either is
    /// set.
    private int[] candidates(float[] logits, float largest) {
        boolean limited = options.topK() > 0 && options.topK() < logits.length;
        int[] ids = new int[limited ? options.topK() : logits.length];
        if (!limited && options.topP() == 1) {
            Arrays.setAll(ids, id -> id);
            return ids;
        }
        var order = new LikeliestFirst(logits);
        Arrays.setAll(ids, id -> limited ? order.next() : id);
        if (options.topP() == 1) {
            return ids;
        }
        double enough = options.topP() * Arrays.stream(weights(ids, logits, largest)).sum();
        double sum = 0;
        int count = 0;
        while (count < ids.length && sum < enough) {
            ids[count] = limited ? ids[count] : order.next();
            sum += weight(logits[ids[count]], largest);
            count++;
        }
        return Arrays.copyOf(ids, count);
    }

    private double weight(float logit, float largest) {
        return Math.exp((logit - largest) / options.temperature());
    }

    private double[] weights(int[] ids, float[] logits, float largest) {
        return Arrays.stream(ids).mapToDouble(id -> weight(logits[id], largest)).toArray();
    }

    private int draw(int[] ids, double[] weights) {
        double total = 0;
        for (int rank = 0; rank < ids.length; rank++) {
            // The most likely weighs exp(0) = 1, so min-p compares with the weight itself.
            weights[rank] = weights[rank] < options.minP() ? 0 : weights[rank];
            total += weights[rank];
        }
        double target = random.nextDouble() * total;
        int last = 0;
        for (int rank = 0; rank < ids.length; rank++) {
            if (weights[rank] > 0) {
                last = rank;
                target -= weights[rank];
                if (target < 0) {
                    break;
                }
            }
        }
        return ids[last];
    }
}
