package dev.lithe.serve;

import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.ServedModel;
import dev.lithe.engine.StopRules;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.RandomSampling;
import dev.lithe.proto.v1.ScoreRequest;
import dev.lithe.proto.v1.Stopping;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/// Requests from the wire to the engine's terms; a field left out gets its documented default.
final class Requests {
    private static final int MAX_REQUEST_ID = 256;

    /// More than tokens of real texts have; a longer prompt is refused before it costs seconds.
    private static final int CHARACTERS_PER_TOKEN = 128;

    private Requests() {}

    static void checkId(String requestId) {
        if (requestId.length() > MAX_REQUEST_ID) {
            throw LitheException.badField(
                    "request_id",
                    "%d characters; use at most %d",
                    requestId.length(),
                    MAX_REQUEST_ID);
        }
    }

    static GenerationRequest of(GenerationInput input, ServedModel model, OptionalLong deadline) {
        SamplingOptions sampling = sampling(input);
        StopRules stop = stop(input.getStopping());
        OptionalInt topLogprobs =
                input.getResponse().hasTopLogprobs()
                        ? OptionalInt.of(input.getResponse().getTopLogprobs())
                        : OptionalInt.empty();
        return new GenerationRequest(
                model, prompt(input, model), sampling, stop, deadline, topLogprobs);
    }

    static dev.lithe.engine.ScoreRequest score(
            ScoreRequest request, ServedModel model, OptionalLong deadline) {
        List<Integer> given =
                switch (request.getPromptCase()) {
                    case PROMPT_TEXT -> encoded("prompt", request.getPromptText(), model);
                    case PROMPT_TOKEN_IDS -> given(request.getPromptTokenIds().getIdsList(), model);
                    case PROMPT_NOT_SET -> List.of();
                };
        List<Integer> all = new ArrayList<>(given);
        switch (request.getContinuationCase()) {
            case TEXT -> {
                boolean textBefore = request.hasPromptText();
                String before = request.getPromptText();
                if (textBefore || given.isEmpty()) {
                    all = encoded("continuation", before + request.getText(), model);
                } else {
                    int[] ids = encode("continuation", request.getText(), false, model);
                    Arrays.stream(ids).forEach(all::add);
                }
            }
            case TOKEN_IDS -> all.addAll(given(request.getTokenIds().getIdsList(), model));
            case CONTINUATION_NOT_SET ->
                    throw LitheException.badField(
                            "continuation", "is missing; set text or token_ids");
        }
        int first = Math.max(1, given.size());
        return new dev.lithe.engine.ScoreRequest(
                model, all, first, request.getTopLogprobs(), deadline);
    }

    private static List<Integer> encoded(String field, String text, ServedModel model) {
        return Arrays.stream(encode(field, text, true, model)).boxed().toList();
    }

    private static SamplingOptions sampling(GenerationInput input) {
        RandomSampling sampling = input.getSampling();
        return new SamplingOptions(
                input.getTemperature(),
                count("top_k", sampling.getTopK()),
                sampling.hasTopP() ? sampling.getTopP() : 1,
                sampling.getMinP(),
                input.getDecoding().hasRepetitionPenalty()
                        ? input.getDecoding().getRepetitionPenalty()
                        : 1,
                sampling.hasSeed() ? OptionalLong.of(sampling.getSeed()) : OptionalLong.empty());
    }

    private static StopRules stop(Stopping stopping) {
        return new StopRules(
                stopping.hasMaxNewTokens()
                        ? count("max_new_tokens", stopping.getMaxNewTokens())
                        : StopRules.DEFAULT_MAX_TOKENS,
                stopping.getStopStringsList(),
                stopping.getIgnoreEos());
    }

    private static List<Integer> prompt(GenerationInput input, ServedModel model) {
        return switch (input.getPromptCase()) {
            case TEXT -> encoded("prompt", input.getText(), model);
            case TOKEN_IDS -> given(input.getTokenIds().getIdsList(), model);
            case PROMPT_NOT_SET ->
                    throw LitheException.badField("prompt", "is missing; set text or token_ids");
        };
    }

    private static List<Integer> given(List<Integer> ids, ServedModel model) {
        int vocabulary = model.decoder().spec().vocabSize();
        for (int id : ids) {
            if (Integer.compareUnsigned(id, vocabulary) >= 0) {
                throw LitheException.badField(
                        "prompt",
                        "token id %s is not in the vocabulary of %d",
                        Integer.toUnsignedString(id),
                        vocabulary);
            }
        }
        return ids;
    }

    /// The tokens of a text that may be as long as the model's context at most.
    ///
    /// @param field which field of the request holds it
    static int[] encode(String field, String text, boolean specialTokens, ServedModel model) {
        int context = model.decoder().spec().longestText();
        long limit = (long) context * CHARACTERS_PER_TOKEN;
        if (text.length() > limit) {
            throw LitheException.badField(
                    field,
                    "%d characters, the limit is %d for the model's context of %d tokens;"
                            + " shorten it",
                    text.length(),
                    limit,
                    context);
        }
        return model.tokenizer().encode(text, specialTokens);
    }

    /// An unsigned number of the wire, which Java reads as negative above 2^31.
    private static int count(String field, int value) {
        if (value < 0) {
            throw LitheException.badField(
                    field,
                    "%s is out of range; use at most %d",
                    Integer.toUnsignedString(value),
                    Integer.MAX_VALUE);
        }
        return value;
    }
}
