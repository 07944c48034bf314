package dev.lithe;

import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// Greedy generation in the plainest way, without the engine: what its answers are held against.
public final class PlainLoop {
    private PlainLoop() {}

    /// The `tokens` tokens that follow `prompt`, end tokens or not.
    public static int[] greedy(Decoder decoder, int[] prompt, int tokens) {
        int[] ids = new int[tokens];
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, prompt.length + tokens - 1, scope);
            int position = 0;
            int[] input = prompt;
            for (int i = 0; i < tokens; i++) {
                ids[i] = next(decoder, input, position, cache);
                position += input.length;
                input = new int[] {ids[i]};
            }
        }
        return ids;
    }

    private static int next(Decoder decoder, int[] input, int position, KvCache cache) {
        long[] ids = new long[input.length];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = input[i];
        }
        try (var step = TensorScope.open()) {
            Value tokens = step.tensor(ids, 1, ids.length);
            Value logits = decoder.forward(tokens, position, cache, false, step);
            return Math.toIntExact(step.call("greedy", logits).integer());
        }
    }
}
