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

    /// Tokens of the text, and what each model says next.
    public record Continuation(int[] prompt, List<int[]> answers) {}

    /// From the beginnings of three windows of `context` ids, spread over the text; fewer where it
    /// is short, none where prompt and answer do not fit.
    public static List<Continuation> of(List<Subject> subjects, int[] ids, int context) {
        List<Continuation> continuations = new ArrayList<>();
        int windows = ids.length / context;
        for (int i = 0; i < Math.min(PROMPTS, windows); i++) {
            int start = windows * i / PROMPTS * context;
            int[] prompt = Arrays.copyOfRange(ids, start, start + Math.min(PROMPT_TOKENS, context));
            int tokens = Math.min(ANSWER_TOKENS, context - prompt.length);
            if (tokens > 0) {
                continuations.add(
                        new Continuation(
                                prompt,
                                subjects.stream()
                                        .map(subject -> answer(subject.decoder(), prompt, tokens))
                                        .toList()));
            }
        }
        return continuations;
    }

    private static int[] answer(Decoder decoder, int[] prompt, int tokens) {
        int[] answer = new int[tokens];
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, prompt.length + tokens - 1, scope);
            long[] input = Arrays.stream(prompt).asLongStream().toArray();
            int position = 0;
            for (int i = 0; i < tokens; i++) {
                answer[i] = (int) Latency.next(decoder, input, position, cache);
                position += input.length;
                input = new long[] {answer[i]};
            }
        }
        return answer;
    }
}
