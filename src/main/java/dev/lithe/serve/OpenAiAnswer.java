package dev.lithe.serve;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.engine.FinishReason;
import dev.lithe.engine.TokenLogprobs;
import dev.lithe.tokenize.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/// The JSON of answers and of events in OpenAI's form.
///
/// @param id the same in all events of an answer
/// @param created seconds since 1970
/// @param chat whether it is a chat's
record OpenAiAnswer(String id, long created, boolean chat) {
    private static final JsonMapper JSON = new JsonMapper();

    static OpenAiAnswer of(boolean chat) {
        String id = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong());
        return new OpenAiAnswer(
                (chat ? "chatcmpl-" : "cmpl-") + id, Instant.now().getEpochSecond(), chat);
    }

    /// An answer or an event without its choices.
    ObjectNode root(String model, boolean event) {
        String object =
                chat ? event ? "chat.completion.chunk" : "chat.completion" : "text_completion";
        ObjectNode root = JSON.createObjectNode().put("id", id).put("object", object);
        root.put("created", created).put("model", model);
        root.putArray("choices");
        return root;
    }

    /// A choice of an answer.
    ObjectNode whole(int index, String text) {
        ObjectNode choice = JSON.createObjectNode().put("index", index);
        if (chat) {
            choice.putObject("message").put("role", "assistant").put("content", text);
        } else {
            choice.put("text", text);
        }
        return choice.putNull("logprobs");
    }

    /// A choice of an event.
    ///
    /// @param first whether it is the first of its choice
    ObjectNode piece(int index, @Nullable String text, boolean first) {
        ObjectNode choice = JSON.createObjectNode().put("index", index);
        if (chat) {
            ObjectNode delta = choice.putObject("delta");
            if (first) {
                delta.put("role", "assistant");
            }
            if (text != null) {
                delta.put("content", text);
            }
        } else {
            choice.put("text", text == null ? "" : text);
        }
        return choice.putNull("logprobs").putNull("finish_reason");
    }

    static String reason(FinishReason reason) {
        return switch (reason) {
            case STOP_TOKEN, STOP_STRING -> "stop";
            case LENGTH -> "length";
        };
    }

    static ObjectNode usage(int promptTokens, int outputTokens) {
        return JSON.createObjectNode()
                .put("prompt_tokens", promptTokens)
                .put("completion_tokens", outputTokens)
                .put("total_tokens", promptTokens + outputTokens);
    }

    ObjectNode logprobs(List<TokenLogprobs> tokens, Tokenizer tokenizer) {
        return chat ? chatLogprobs(tokens, tokenizer) : textLogprobs(tokens, tokenizer);
    }

    private static ObjectNode textLogprobs(List<TokenLogprobs> tokens, Tokenizer tokenizer) {
        ObjectNode logprobs = JSON.createObjectNode();
        ArrayNode texts = logprobs.putArray("tokens");
        ArrayNode values = logprobs.putArray("token_logprobs");
        ArrayNode tops = logprobs.putArray("top_logprobs");
        for (TokenLogprobs token : tokens) {
            texts.add(tokenizer.decode(token.id()));
            values.add(token.logprob());
            ObjectNode top = tops.addObject();
            token.top().forEach(each -> top.put(tokenizer.decode(each.id()), each.logprob()));
        }
        return logprobs;
    }

    private static ObjectNode chatLogprobs(List<TokenLogprobs> tokens, Tokenizer tokenizer) {
        ObjectNode logprobs = JSON.createObjectNode();
        ArrayNode content = logprobs.putArray("content");
        for (TokenLogprobs token : tokens) {
            ObjectNode entry = content.addObject();
            fill(entry, tokenizer.decode(token.id()), token.logprob());
            ArrayNode top = entry.putArray("top_logprobs");
            token.top()
                    .forEach(each ->
                            fill(top.addObject(), tokenizer.decode(each.id()), each.logprob()));
        }
        return logprobs;
    }

    private static void fill(ObjectNode entry, String text, float logprob) {
        entry.put("token", text).put("logprob", logprob);
        ArrayNode bytes = entry.putArray("bytes");
        for (byte each : text.getBytes(StandardCharsets.UTF_8)) {
            bytes.add(each & 0xff);
        }
    }
}
