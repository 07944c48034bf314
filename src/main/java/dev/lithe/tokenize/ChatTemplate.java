package dev.lithe.tokenize;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.fault.LitheException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// How a model wants a conversation written, from `chat_template.jinja` of its folder or the key
/// `chat_template` of its `tokenizer_config.json`, rendered as transformers' `apply_chat_template`
/// does. Safe for use by several threads.
public final class ChatTemplate {
    private static final long MAX_BYTES = 16L << 20;
    private static final JsonMapper JSON = new JsonMapper();

    /// One message: who says it, and what.
    public record Message(String role, String content) {}

    private final JinjaTemplate template;
    private final Map<String, @Nullable Object> tokens;

    private ChatTemplate(JinjaTemplate template, Map<String, @Nullable Object> tokens) {
        this.template = template;
        this.tokens = tokens;
    }

    /// The template of a model folder, if it has one.
    ///
    /// @throws LitheException where it cannot be read
    public static Optional<ChatTemplate> open(Path folder) {
        return source(folder).map(each -> of(each, tokens(config(folder))));
    }

    /// Its text.
    ///
    /// @throws LitheException where it cannot be read
    public static Optional<String> source(Path folder) {
        Path file = folder.resolve("chat_template.jinja");
        if (!Files.isRegularFile(file)) {
            return source(config(folder).path("chat_template"));
        }
        try {
            return Optional.of(text(file));
        } catch (IOException e) {
            throw LitheException.badInput("%s: %s", file, e.getMessage()).causedBy(e);
        }
    }

    private static JsonNode config(Path folder) {
        Path config = folder.resolve("tokenizer_config.json");
        try {
            return Files.isRegularFile(config) ? JSON.readTree(text(config)) : JSON.nullNode();
        } catch (IOException e) {
            throw LitheException.badInput("%s: %s", config, e.getMessage()).causedBy(e);
        }
    }

    /// A template by its text.
    ///
    /// @param tokens such as `bos_token`, by name
    static ChatTemplate of(String source, Map<String, @Nullable Object> tokens) {
        try {
            return new ChatTemplate(JinjaTemplate.of(source), tokens);
        } catch (StackOverflowError e) {
            throw JinjaValues.wrong("it nests too deep").causedBy(e);
        }
    }

    private static String text(Path file) throws IOException {
        if (Files.size(file) > MAX_BYTES) {
            throw LitheException.badInput(
                    "%s: %d bytes, the limit is %d", file, Files.size(file), MAX_BYTES);
        }
        return Files.readString(file);
    }

    /// One template, or the one called `default` of several.
    private static Optional<String> source(JsonNode value) {
        if (value.isTextual()) {
            return Optional.of(value.textValue());
        }
        for (JsonNode each : value) {
            if (each.path("name").asText().equals("default")) {
                return Optional.of(each.path("template").asText());
            }
        }
        return Optional.empty();
    }

    /// Special tokens, each a text or an object with its `content`.
    private static Map<String, @Nullable Object> tokens(JsonNode root) {
        Map<String, @Nullable Object> tokens = new HashMap<>();
        for (Map.Entry<String, JsonNode> entry : root.properties()) {
            JsonNode value = entry.getValue();
            JsonNode content = value.isObject() ? value.path("content") : value;
            if (entry.getKey().endsWith("_token") && content.isTextual()) {
                tokens.put(entry.getKey(), content.textValue());
            }
        }
        return tokens;
    }

    /// The prompt for a conversation, up to where the model speaks next. It holds the special
    /// tokens that it needs, so none are added to it.
    ///
    /// @throws LitheException where the template refuses it, or is wrong
    public String render(List<Message> messages) {
        Map<String, @Nullable Object> values = new HashMap<>(tokens);
        values.put("messages", messages.stream().map(ChatTemplate::value).toList());
        values.put("add_generation_prompt", true);
        values.put("tools", null);
        values.put("documents", null);
        values.putAll(functions());
        try {
            return template.render(values);
        } catch (StackOverflowError e) {
            throw JinjaValues.wrong("it nests too deep").causedBy(e);
        }
    }

    private static Map<String, Object> value(Message message) {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("role", message.role());
        value.put("content", message.content());
        return value;
    }

    private static Map<String, JinjaValues.Function> functions() {
        return Map.of(
                "raise_exception",
                arguments -> {
                    throw LitheException.badField(
                            "messages",
                            "the model's chat template says: %s",
                            JinjaValues.text(arguments.at(0)));
                },
                "strftime_now",
                arguments -> now(JinjaValues.text(arguments.at(0)), ZonedDateTime.now()),
                "namespace",
                arguments -> {
                    var space = new JinjaValues.Namespace();
                    space.putAll(arguments.named());
                    return space;
                },
                "dict",
                arguments -> new LinkedHashMap<>(arguments.named()),
                "range",
                arguments -> JinjaValues.range(arguments));
    }

    /// C's `strftime`, as far as templates use it.
    static String now(String format, ZonedDateTime time) {
        var text = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            if (format.charAt(i) != '%' || i + 1 == format.length()) {
                text.append(format.charAt(i));
                continue;
            }
            i++;
            boolean bare = format.charAt(i) == '-' && i + 1 < format.length();
            i += bare ? 1 : 0;
            String pattern =
                    switch (format.charAt(i)) {
                        case 'Y' -> "yyyy";
                        case 'y' -> "yy";
                        case 'm' -> bare ? "M" : "MM";
                        case 'd' -> bare ? "d" : "dd";
                        case 'H' -> bare ? "H" : "HH";
                        case 'I' -> bare ? "h" : "hh";
                        case 'M' -> bare ? "m" : "mm";
                        case 'S' -> bare ? "s" : "ss";
                        case 'j' -> "DDD";
                        case 'B' -> "MMMM";
                        case 'b' -> "MMM";
                        case 'A' -> "EEEE";
                        case 'a' -> "EEE";
                        case 'p' -> "a";
                        case '%' -> "'%'";
                        default ->
                                throw JinjaValues.wrong("'" + format + "' is no known date format");
                    };
            text.append(DateTimeFormatter.ofPattern(pattern, Locale.US).format(time));
        }
        return text.toString();
    }
}
