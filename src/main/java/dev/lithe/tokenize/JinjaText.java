package dev.lithe.tokenize;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Values as text: Python's `repr`, its `json.dumps`, its `%`.
final class JinjaText {
    private static final JsonMapper JSON = new JsonMapper();

    private JinjaText() {}

    static String repr(@Nullable Object value) {
        var text = new StringBuilder();
        write(text, value, false, -1, 0);
        return JinjaValues.bounded(text);
    }

    /// @param indent blanks per level, or -1 for one line
    static String json(@Nullable Object value, int indent) {
        var text = new StringBuilder();
        write(text, value, true, indent, 1);
        return JinjaValues.bounded(text);
    }

    private static void write(
            StringBuilder text, @Nullable Object value, boolean json, int indent, int level) {
        JinjaValues.requireLength(text.length());
        switch (value) {
            case String string -> text.append(json ? quoted(string) : reprOf(string));
            case List<?> list -> {
                text.append('[');
                for (int i = 0; i < list.size(); i++) {
                    separate(text, i > 0, indent, level);
                    write(text, list.get(i), json, indent, level + 1);
                }
                close(text, ']', list.isEmpty(), indent, level);
            }
            case Map<?, ?> map -> {
                text.append('{');
                Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
                for (boolean first = true; entries.hasNext(); first = false) {
                    Map.Entry<?, ?> entry = entries.next();
                    separate(text, !first, indent, level);
                    write(text, entry.getKey(), json, indent, level + 1);
                    text.append(": ");
                    write(text, entry.getValue(), json, indent, level + 1);
                }
                close(text, '}', map.isEmpty(), indent, level);
            }
            case JinjaValues.Undefined missing when json ->
                    throw JinjaValues.wrong(JinjaValues.type(missing) + " as JSON");
            case null -> text.append(json ? "null" : "None");
            case Boolean flag when json -> text.append(flag);
            default -> text.append(JinjaValues.text(value));
        }
    }

    private static void separate(StringBuilder text, boolean comma, int indent, int level) {
        text.append(comma ? "," : "");
        if (indent >= 0) {
            text.append('\n').repeat(' ', indent * level);
        } else if (comma) {
            text.append(' ');
        }
    }

    private static void close(StringBuilder text, char end, boolean empty, int indent, int level) {
        if (indent >= 0 && !empty) {
            text.append('\n').repeat(' ', indent * (level - 1));
        }
        text.append(end);
    }

    private static String quoted(String text) {
        try {
            return JSON.writeValueAsString(text);
        } catch (JsonProcessingException e) {
            throw JinjaValues.wrong("a text as JSON").causedBy(e);
        }
    }

    private static String reprOf(String text) {
        char quote = text.contains("'") && !text.contains("\"") ? '"' : '\'';
        String escaped =
                text.replace("\\", "\\\\")
                        .replace("\n", "\\n")
                        .replace("\r", "\\r")
                        .replace("\t", "\\t");
        return quote + (quote == '\'' ? escaped.replace("'", "\\'") : escaped) + quote;
    }

    /// Python's `%` with `%s`, `%d` and `%%`.
    static String format(String format, @Nullable Object values) {
        Iterator<?> each =
                values instanceof List<?> list
                        ? list.iterator()
                        : List.of(values == null ? "None" : values).iterator();
        var text = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                text.append(c);
                continue;
            }
            i++;
            switch (format.charAt(i)) {
                case '%' -> text.append('%');
                case 's', 'd' -> {
                    if (!each.hasNext()) {
                        throw JinjaValues.wrong("'" + format + "' has too few values");
                    }
                    text.append(JinjaValues.text(each.next()));
                }
                default -> throw JinjaValues.wrong("'" + format + "' is no known format");
            }
        }
        return JinjaValues.bounded(text);
    }
}
