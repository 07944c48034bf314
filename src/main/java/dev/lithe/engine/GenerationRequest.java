package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/// One request to continue a text.
///
/// @param prompt token ids, at least one, each in the vocabulary
/// @param deadline when the caller's time runs out, on the clock of [System#nanoTime]; empty means
///   never
/// @param topLogprobs asks for the log probability of each token, and of so many candidates beside
///   it
public record GenerationRequest(
        ServedModel model,
        List<Integer> prompt,
        SamplingOptions sampling,
        StopRules stop,
        OptionalLong deadline,
        OptionalInt topLogprobs) {
    public GenerationRequest {
        prompt = requireIds(model, prompt);
        topLogprobs.ifPresent(TokenLogprobs::requireTop);
    }

    /// A request for text alone.
    public GenerationRequest(
            ServedModel model,
            List<Integer> prompt,
            SamplingOptions sampling,
            StopRules stop,
            OptionalLong deadline) {
        this(model, prompt, sampling, stop, deadline, OptionalInt.empty());
    }

    /// The ids, checked against the model.
    static List<Integer> requireIds(ServedModel model, List<Integer> given) {
        List<Integer> prompt = List.copyOf(given);
        int limit = model.decoder().spec().longestText();
        int vocabulary = model.decoder().spec().vocabSize();
        if (prompt.isEmpty()) {
            throw LitheException.badField("prompt", "no tokens; give at least one");
        }
        if (prompt.size() > limit) {
            throw LitheException.badField(
                    "prompt",
                    "%d tokens exceed the model's context of %d; shorten it",
                    prompt.size(),
                    limit);
        }
        for (int id : prompt) {
            if (id < 0 || id >= vocabulary) {
                throw LitheException.badField(
                        "prompt", "token id %d is not in the vocabulary of %d", id, vocabulary);
            }
        }
        return prompt;
    }

    /// Tokens it may compute: as many as asked for, or as fit. The last one is never read again, so
    /// it needs no room.
    int tokens() {
        int room = model.decoder().spec().longestText() - prompt.size() + 1;
        return Math.min(stop.maxTokens(), room);
    }

    int[] promptIds() {
        return prompt.stream().mapToInt(Integer::intValue).toArray();
    }

    /// Whether all of its prompt is to be computed, though the beginning may be known. Who ignores
    /// the end token measures.
    boolean fresh() {
        return stop.ignoreEos();
    }

    /// Positions that its cache needs.
    int capacity() {
        return prompt.size() + tokens() - 1;
    }

    /// Bytes of memory of that cache.
    long cacheBytes() {
        return model.decoder().spec().cacheBytes(capacity());
    }
}
