package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.List;
import java.util.OptionalLong;

/// One request to say how likely a text is.
///
/// @param ids the text, at least two tokens, each in the vocabulary
/// @param first the first token that is scored, from 1 on: nothing comes before token 0
/// @param topLogprobs candidates to name beside each scored token
/// @param deadline when the caller's time runs out, on the clock of [System#nanoTime]
public record ScoreRequest(
        ServedModel model, List<Integer> ids, int first, int topLogprobs, OptionalLong deadline) {
    public ScoreRequest {
        ids = GenerationRequest.requireIds(model, ids);
        if (first < 1 || first >= ids.size()) {
            throw LitheException.badField(
                    "continuation",
                    "nothing to score: %d tokens, of which the first %d are given; add text",
                    ids.size(),
                    Math.max(first, 1));
        }
        TokenLogprobs.requireTop(topLogprobs);
    }

    /// Bytes of memory of the cache that it needs.
    long cacheBytes() {
        return model.decoder().spec().cacheBytes(ids.size());
    }
}
