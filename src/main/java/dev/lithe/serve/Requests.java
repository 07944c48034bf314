package dev.lithe.serve;

import dev.lithe.engine.GenerationRequest;
import dev.lithe.engine.SamplingOptions;
import dev.lithe.engine.ServedModel;
import dev.lithe.engine.StopRules;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.RandomSampling;
import dev.lithe.proto.v1.Stopping;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;

/// Requests from the wire to the engine's terms; a field left out gets its documented default.
final class Requests {
    private static final int MAX_REQUEST_ID = 256;

    /// More than tokens of real texts have; a longer prompt is refused before it costs seconds.
    private static final int CHARACTERS_PER_TOKEN = 128;

    private Requests() {}

    static void checkId(GenerationInput input) {
        if (input.getRequestId().length() > MAX_REQUEST_ID) {
            throw LitheException.badField(
                    "request_id",
                    "%d characters; use at most %d",
                    input.getRequestId().length(),
                    MAX_REQUEST_ID);
        }
    }

    static GenerationRequest of(GenerationInput input, ServedModel model, OptionalLong deadline) {
        SamplingOptions sampling = sampling(input);
        StopRules stop = stop(input.getStopping());
        return new GenerationRequest(model, prompt(input, model), sampling, stop, deadline);
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
            case TEXT ->
                    Arrays.stream(encode("prompt", input.getText(), true, model)).boxed().toList();
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
        int context = model.decoder().spec().maxPositions();
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
