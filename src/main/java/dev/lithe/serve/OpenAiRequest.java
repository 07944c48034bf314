package dev.lithe.serve;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.TokenIds;
import dev.lithe.tokenize.ChatTemplate;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// The body of a completion request in OpenAI's words, which are vLLM's where OpenAI has none. What
/// would change the text and is not known here is refused; the rest is ignored.
final class OpenAiRequest {
    private static final JsonMapper JSON =
            JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();
    private static final int DEFAULT_TOKENS = 16;
    private static final int DEFAULT_CHAT_TOKENS = 4096;
    private static final List<String> NOT_KNOWN =
            List.of(
                    "allowed_token_ids",
                    "bad_words",
                    "best_of",
                    "echo",
                    "frequency_penalty",
                    "functions",
                    "guided_choice",
                    "guided_grammar",
                    "guided_json",
                    "guided_regex",
                    "length_penalty",
                    "logit_bias",
                    "min_tokens",
                    "presence_penalty",
                    "stop_token_ids",
                    "structured_outputs",
                    "suffix",
                    "tools",
                    "use_beam_search");

    private final JsonNode body;
    private final boolean chat;

    private OpenAiRequest(JsonNode body, boolean chat) {
        this.body = body;
        this.chat = chat;
    }

    static OpenAiRequest of(byte[] bytes, boolean chat) {
        JsonNode body;
        try {
            body = JSON.readTree(new String(bytes, StandardCharsets.UTF_8));
        } catch (JsonProcessingException e) {
            String why = e.getOriginalMessage().replaceFirst("(?s) \\(start marker at.*", "");
            throw LitheException.badInput("the body is no JSON: %s", why).causedBy(e);
        }
        if (!body.isObject()) {
            throw LitheException.badInput("the body is no JSON object");
        }
        for (String name : NOT_KNOWN) {
            if (asksFor(name, body.path(name))) {
                throw LitheException.badField(name, "is not supported; leave it out");
            }
        }
        JsonNode asked = body.path("response_format");
        String format = asked.path("type").asText(asked.isObject() ? "text" : asked.asText("text"));
        if (!format.equals("text") && !asked.isNull()) {
            throw LitheException.badField("response_format", "'%s'; only text is known", format);
        }
        return new OpenAiRequest(body, chat);
    }

    /// Whether a field says more than its default does.
    private static boolean asksFor(String name, JsonNode value) {
        boolean nothing =
                value.isMissingNode()
                        || value.isNull()
                        || value.isContainerNode() && value.isEmpty()
                        || value.isNumber() && value.asDouble() == 0
                        || value.isBoolean() && !value.asBoolean();
        boolean onlyOne = name.equals("best_of") && value.isNumber() && value.asDouble() == 1;
        return !nothing && !onlyOne;
    }

    boolean chat() {
        return chat;
    }

    String model() {
        return text("model", "");
    }

    boolean stream() {
        return flag("stream");
    }

    boolean includeUsage() {
        return body.path("stream_options").path("include_usage").asBoolean(false);
    }

    /// Whether log probabilities go into the answer.
    boolean logprobs() {
        return chat ? flag("logprobs") : given("logprobs");
    }

    /// The conversation.
    List<ChatTemplate.Message> messages() {
        List<ChatTemplate.Message> messages = new ArrayList<>();
        for (JsonNode message : body.path("messages")) {
            if (!message.path("role").isTextual()) {
                throw LitheException.badField("messages", "one has no role; give each one");
            }
            messages.add(
                    new ChatTemplate.Message(
                            message.path("role").asText(), content(message.path("content"))));
        }
        if (messages.isEmpty()) {
            throw LitheException.badField("messages", "are missing; give at least one");
        }
        return messages;
    }

    private static String content(JsonNode content) {
        if (content.isTextual()) {
            return content.textValue();
        }
        var text = new StringBuilder();
        for (JsonNode part : content) {
            if (!part.path("type").asText().equals("text") || !part.path("text").isTextual()) {
                throw LitheException.badField("messages", "one holds more than text; send text");
            }
            text.append(part.path("text").textValue());
        }
        if (!content.isArray()) {
            throw LitheException.badField("messages", "the content of one is no text");
        }
        return text.toString();
    }

    /// One input per choice, without the prompt of a chat.
    List<GenerationInput> inputs() {
        List<GenerationInput.Builder> prompts =
                chat ? List.of(GenerationInput.newBuilder()) : prompts(body.path("prompt"));
        int each = given("n") ? whole("n") : 1;
        if (each < 1 || (long) each * prompts.size() > Batch.MAX_INPUTS) {
            throw LitheException.badField(
                    "n",
                    "%d answers to %d prompts; use 1 to %d together",
                    each,
                    prompts.size(),
                    Batch.MAX_INPUTS);
        }
        List<GenerationInput> inputs = new ArrayList<>();
        for (GenerationInput.Builder prompt : prompts) {
            for (int i = 0; i < each; i++) {
                inputs.add(input(prompt.clone(), i));
            }
        }
        return inputs;
    }

    private static List<GenerationInput.Builder> prompts(JsonNode prompt) {
        if (prompt.isTextual()) {
            return List.of(GenerationInput.newBuilder().setText(prompt.textValue()));
        }
        if (!prompt.isArray() || prompt.isEmpty()) {
            throw LitheException.badField("prompt", "is no text; give one, or token ids");
        }
        if (prompt.get(0).isNumber()) {
            return List.of(GenerationInput.newBuilder().setTokenIds(ids(prompt)));
        }
        List<GenerationInput.Builder> prompts = new ArrayList<>();
        for (JsonNode each : prompt) {
            if (each.isArray() && each.path(0).isArray()) {
                throw LitheException.badField("prompt", "lists are nested too deep");
            }
            prompts.addAll(prompts(each));
        }
        return prompts;
    }

    private static TokenIds ids(JsonNode prompt) {
        var ids = TokenIds.newBuilder();
        for (JsonNode id : prompt) {
            if (!id.isInt() || id.intValue() < 0) {
                throw LitheException.badField("prompt", "'%s' is no token id", id);
            }
            ids.addIds(id.intValue());
        }
        return ids.build();
    }

    private GenerationInput input(GenerationInput.Builder input, int choice) {
        input.setTemperature((float) number("temperature", 1));
        if (given("top_p")) {
            input.getSamplingBuilder().setTopP((float) number("top_p", 1));
        }
        if (given("top_k") && whole("top_k") > 0) {
            input.getSamplingBuilder().setTopK(whole("top_k"));
        }
        if (given("min_p")) {
            input.getSamplingBuilder().setMinP((float) number("min_p", 0));
        }
        if (given("seed")) {
            JsonNode seed = body.path("seed");
            if (!seed.isIntegralNumber() || !seed.canConvertToLong()) {
                throw LitheException.badField("seed", "is %s; use a whole number", seed);
            }
            input.getSamplingBuilder().setSeed(seed.asLong() + choice);
        }
        if (given("repetition_penalty")) {
            float penalty = (float) number("repetition_penalty", 1);
            input.getDecodingBuilder().setRepetitionPenalty(penalty);
        }
        input.getStoppingBuilder()
                .setMaxNewTokens(tokens())
                .addAllStopStrings(stop())
                .setIgnoreEos(flag("ignore_eos"));
        if (logprobs()) {
            String count = chat ? "top_logprobs" : "logprobs";
            input.getResponseBuilder().setTopLogprobs(given(count) ? whole(count) : 0);
        }
        return input.build();
    }

    private int tokens() {
        String name =
                chat && given("max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
        if (!given(name)) {
            return chat ? DEFAULT_CHAT_TOKENS : DEFAULT_TOKENS;
        }
        int tokens = whole(name);
        if (tokens < 1) {
            throw LitheException.badField(name, "%d; use 1 or more", tokens);
        }
        return tokens;
    }

    private List<String> stop() {
        JsonNode stop = body.path("stop");
        if (given("stop") && !stop.isTextual() && !stop.isArray()) {
            throw LitheException.badField("stop", "is %s; use a text or a list of texts", stop);
        }
        List<String> texts = new ArrayList<>();
        for (JsonNode each : stop.isTextual() ? List.of(stop) : stop) {
            if (!each.isTextual()) {
                throw LitheException.badField("stop", "'%s' is no text", each);
            }
            texts.add(each.textValue());
        }
        return texts;
    }

    private boolean given(String name) {
        return !body.path(name).isMissingNode() && !body.path(name).isNull();
    }

    private String text(String name, String otherwise) {
        if (given(name) && !body.path(name).isTextual()) {
            throw LitheException.badField(name, "'%s' is no text", body.path(name));
        }
        return given(name) ? body.path(name).textValue() : otherwise;
    }

    private boolean flag(String name) {
        if (given(name) && !body.path(name).isBoolean()) {
            throw LitheException.badField(name, "'%s' is neither true nor false", body.path(name));
        }
        return body.path(name).asBoolean(false);
    }

    private double number(String name, double otherwise) {
        if (given(name) && !body.path(name).isNumber()) {
            throw LitheException.badField(name, "'%s' is no number", body.path(name));
        }
        return given(name) ? body.path(name).doubleValue() : otherwise;
    }

    private int whole(String name) {
        if (!body.path(name).canConvertToExactIntegral() || !body.path(name).canConvertToInt()) {
            throw LitheException.badField(name, "'%s' is no whole number", body.path(name));
        }
        return body.path(name).intValue();
    }
}
