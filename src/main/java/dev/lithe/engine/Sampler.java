package dev.lithe.engine;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.Arrays;
import java.util.BitSet;

/// Chooses tokens: repetition penalty, temperature, top-k, top-p (Holtzman et al. 2020,
/// arXiv:1904.09751), min-p (Nguyen et al. 2024, arXiv:2407.01082), then one draw. Each filter sees
/// what the one before it left, renormalized. Ties go to the lower id.
///
/// The draw is an exponential race: each token that is left takes the time -ln(u) / p, where u is
/// fixed by the seed, the number of tokens before it and the token itself, and the first one wins,
/// which is each with its probability p. Two models that draw from nearly the same probabilities
/// with the same u nearly always agree, so that one can tell what the other is about to draw
/// (Daliri, Musco and Suresh 2024, arXiv:2408.07978).
final class Sampler {
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;
    private static final double STEP = 0x1p-53;

    private final SamplingOptions options;
    private final long seed;
    private final BitSet occurred;
    private long drawn;

    Sampler(SamplingOptions options, long seed) {
        this(options, seed, 0, new BitSet());
    }

    private Sampler(SamplingOptions options, long seed, long drawn, BitSet occurred) {
        this.options = options;
        this.seed = seed;
        this.drawn = drawn;
        this.occurred = occurred;
    }

    /// One that goes on as this would, without changing it.
    Sampler ahead() {
        return new Sampler(options, seed, drawn, (BitSet) occurred.clone());
    }

    /// Whether it takes the most likely token, so that the others' logits do not matter.
    boolean greedy() {
        return options.greedy() && options.repetitionPenalty() == 1;
    }

    /// Tells it of tokens in the text, for the repetition penalty.
    void occurred(int... ids) {
        if (options.repetitionPenalty() != 1) {
            for (int id : ids) {
                occurred.set(id);
            }
        }
    }

    /// The next token.
    ///
    /// @param logits (V), changed in place
    /// @throws LitheException where a logit is not a number
    int next(float[] logits) {
        drawn++;
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

    /// @param weights of the ids, the most likely's is 1
    private int draw(int[] ids, double[] weights) {
        long race = mix(seed + drawn * GOLDEN);
        int first = ids[0];
        double least = Double.POSITIVE_INFINITY;
        for (int rank = 0; rank < ids.length; rank++) {
            double weight = weights[rank];
            double u = ((mix(race + (ids[rank] + 1) * GOLDEN) >>> 11) + 0.5) * STEP;
            // -ln(u) is at least 1 - u, which spares nearly all of the logarithms.
            if (weight > 0 && weight >= options.minP() && 1 - u < least * weight) {
                double time = -Math.log(u) / weight;
                if (time < least) {
                    least = time;
                    first = ids[rank];
                }
            }
        }
        return first;
    }

    /// A bijection of longs that leaves no pattern (SplitMix64, Steele et al. 2014).
    private static long mix(long value) {
        long z = value;
        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }
}
