package dev.lithe.engine;

import dev.lithe.model.Decoder;
import java.util.Arrays;

/// A greedy continuation of fixed length and when each token of it was there; what latency is
/// measured with.
///
/// @param ids the tokens
/// @param nanos time of each token's arrival, counted from the start of the prefill; the first is
///   the time to first token
public record Generation(int[] ids, long[] nanos) {
    /// Continues `prompt` by `tokens` tokens on the calling thread.
    public static Generation greedy(Decoder decoder, int[] prompt, int tokens) {
        int[] ids = new int[tokens];
        long[] nanos = new long[tokens];
        var sampler = new Sampler(SamplingOptions.GREEDY, 0);
        long start = System.nanoTime();
        try (Session session = Session.open(decoder, prompt.length + tokens - 1)) {
            for (int i = 0; i < tokens; i++) {
                float[] logits = i == 0 ? session.prefill(prompt) : session.decode(ids[i - 1]);
                ids[i] = sampler.next(logits);
                nanos[i] = System.nanoTime() - start;
            }
        }
        return new Generation(ids, nanos);
    }

    /// Mean time of a token after the first, in nanoseconds; 0 where there is only one.
    public double nanosPerToken() {
        int last = nanos.length - 1;
        return last == 0 ? 0 : (double) (nanos[last] - nanos[0]) / last;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Generation that
                && Arrays.equals(ids, that.ids)
                && Arrays.equals(nanos, that.nanos);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(ids);
    }

    @Override
    public String toString() {
        return "Generation[ids=" + Arrays.toString(ids) + "]";
    }
}
