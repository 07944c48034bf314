package dev.lithe.evaluate;

import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// How models go on from the same words, for people to compare.
public final class Continuations {
    private static final int PROMPTS = 3;
    private static final int PROMPT_TOKENS = 16;
    private static final int ANSWER_TOKENS = 32;

    private Continuations() {}

    /// The beginnings of three windows of `context` ids, spread over the text; fewer where it is
    /// short, none where prompt and answer do not fit.
    public static List<int[]> prompts(int[] ids, int context) {
        List<int[]> prompts = new ArrayList<>();
        int windows = ids.length / context;
        for (int i = 0; i < Math.min(PROMPTS, windows) && context > PROMPT_TOKENS; i++) {
            int start = windows * i / PROMPTS * context;
            prompts.add(Arrays.copyOfRange(ids, start, start + PROMPT_TOKENS));
        }
        return prompts;
    }

    /// What a model says after `prompt` within `context` tokens.
    public static int[] answer(Decoder decoder, int[] prompt, int context) {
        int tokens = Math.clamp(context - prompt.length, 0, ANSWER_TOKENS);
        int[] answer = new int[tokens];
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, prompt.length + tokens - 1, scope);
            int[] input = prompt;
            for (int i = 0; i < tokens; i++) {
                answer[i] = Latency.next(decoder, input, cache);
                input = new int[] {answer[i]};
            }
        }
        return answer;
    }
}
