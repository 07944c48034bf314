package dev.lithe.tokenize;

import dev.lithe.tokenize.JinjaValues.Arguments;
import dev.lithe.tokenize.JinjaValues.Function;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Python's methods of strings and mappings, as far as templates use them.
final class JinjaMethods {
    private JinjaMethods() {}

    /// The method of that name, or null.
    static @Nullable Function find(@Nullable Object value, String name) {
        return switch (value) {
            case String text -> ofText(text, name);
            case JinjaValues.Namespace _ -> null;
            case Map<?, ?> map -> ofMap(map, name);
            case null, default -> null;
        };
    }

    private static @Nullable Function ofMap(Map<?, ?> map, String name) {
        return switch (name) {
            case "items" -> _ -> entries(map);
            case "keys" -> _ -> new ArrayList<>(map.keySet());
            case "values" -> _ -> new ArrayList<>(map.values());
            case "get" ->
                    arguments -> {
                        Object key = arguments.at(0);
                        return key != null && map.containsKey(key) ? map.get(key) : arguments.at(1);
                    };
            default -> null;
        };
    }

    static List<@Nullable Object> entries(Map<?, ?> map) {
        List<@Nullable Object> entries = new ArrayList<>();
        map.forEach((key, value) -> {
            List<@Nullable Object> entry = new ArrayList<>();
            entry.add(key);
            entry.add(value);
            entries.add(entry);
        });
        return entries;
    }

    private static @Nullable Function ofText(String text, String name) {
        return switch (name) {
            case "strip" -> arguments -> strip(text, arguments.at(0), true, true);
            case "lstrip" -> arguments -> strip(text, arguments.at(0), true, false);
            case "rstrip" -> arguments -> strip(text, arguments.at(0), false, true);
            case "split" -> arguments -> split(text, arguments);
            case "rsplit" -> arguments -> splitFromTheEnd(text, arguments);
            case "splitlines" -> _ -> new ArrayList<>(text.lines().toList());
            case "startswith" ->
                    arguments -> any(arguments).stream().anyMatch(each -> text.startsWith(each));
            case "endswith" ->
                    arguments -> any(arguments).stream().anyMatch(each -> text.endsWith(each));
            case "removeprefix" ->
                    arguments -> {
                        String prefix = textArgument(arguments, 0);
                        return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
                    };
            case "removesuffix" ->
                    arguments -> {
                        String suffix = textArgument(arguments, 0);
                        return text.endsWith(suffix)
                                ? text.substring(0, text.length() - suffix.length())
                                : text;
                    };
            case "upper" -> _ -> text.toUpperCase(Locale.ROOT);
            case "lower" -> _ -> text.toLowerCase(Locale.ROOT);
            case "title" -> _ -> title(text);
            case "capitalize" -> _ -> capitalize(text);
            case "replace" ->
                    arguments ->
                            replace(text, textArgument(arguments, 0), textArgument(arguments, 1));
            case "join" -> arguments -> join(JinjaValues.items(arguments.at(0)), text);
            case "find" -> arguments -> (long) text.indexOf(textArgument(arguments, 0));
            case "count" ->
                    arguments -> {
                        String part = textArgument(arguments, 0);
                        return part.isEmpty()
                                ? (long) text.length() + 1
                                : (long) pieces(text, part, Long.MAX_VALUE).size() - 1;
                    };
            case "isdigit" -> _ -> !text.isEmpty() && text.chars().allMatch(Character::isDigit);
            case "isalpha" -> _ -> !text.isEmpty() && text.chars().allMatch(Character::isLetter);
            default -> null;
        };
    }

    static @Nullable Object argument(List<@Nullable Object> arguments, int index) {
        return index < arguments.size() ? arguments.get(index) : null;
    }

    private static String textArgument(Arguments arguments, int index) {
        if (arguments.at(index) instanceof String text) {
            return text;
        }
        throw JinjaValues.wrong(JinjaValues.type(arguments.at(index)) + " is no string");
    }

    private static List<String> any(Arguments arguments) {
        return arguments.at(0) instanceof List<?> list
                ? list.stream().map(JinjaValues::text).toList()
                : List.of(textArgument(arguments, 0));
    }

    /// Without white space, or the characters in `set`, at its ends.
    static String strip(String text, @Nullable Object set, boolean start, boolean end) {
        int from = 0;
        int to = text.length();
        while (start && from < to && strips(text.charAt(from), set)) {
            from++;
        }
        while (end && to > from && strips(text.charAt(to - 1), set)) {
            to--;
        }
        return text.substring(from, to);
    }

    private static boolean strips(char c, @Nullable Object set) {
        return set instanceof String characters
                ? characters.indexOf(c) >= 0
                : Character.isWhitespace(c);
    }

    private static List<@Nullable Object> split(String text, Arguments arguments) {
        if (arguments.at(0) == null) {
            String stripped = text.strip();
            return stripped.isEmpty()
                    ? List.of()
                    : new ArrayList<>(List.of(stripped.split("\\s+")));
        }
        return new ArrayList<>(pieces(text, textArgument(arguments, 0), most(arguments)));
    }

    private static long most(Arguments arguments) {
        Object limit = arguments.at(1);
        return limit == null || JinjaValues.integer(limit) < 0
                ? Long.MAX_VALUE
                : JinjaValues.integer(limit);
    }

    private static List<String> pieces(String text, String separator, long most) {
        if (separator.isEmpty()) {
            throw JinjaValues.wrong("an empty separator");
        }
        List<String> pieces = new ArrayList<>();
        int from = 0;
        for (int at = text.indexOf(separator); at >= 0 && pieces.size() < most; ) {
            pieces.add(text.substring(from, at));
            from = at + separator.length();
            at = text.indexOf(separator, from);
        }
        pieces.add(text.substring(from));
        return pieces;
    }

    private static List<@Nullable Object> splitFromTheEnd(String text, Arguments arguments) {
        String separator = textArgument(arguments, 0);
        List<String> pieces = pieces(text, separator, Long.MAX_VALUE);
        int first = (int) Math.max(1, pieces.size() - Math.min(most(arguments), pieces.size()));
        List<@Nullable Object> result = new ArrayList<>();
        result.add(String.join(separator, pieces.subList(0, first)));
        result.addAll(pieces.subList(first, pieces.size()));
        return result;
    }

    static String replace(String text, String old, String by) {
        long times = old.isEmpty() ? text.length() + 1L : text.length() / old.length();
        JinjaValues.requireLength(text.length() + times * Math.max(0, by.length() - old.length()));
        return text.replace(old, by);
    }

    static String join(List<@Nullable Object> parts, String separator) {
        var text = new StringBuilder();
        for (int i = 0; i < parts.size(); i++) {
            text.append(i > 0 ? separator : "").append(JinjaValues.text(parts.get(i)));
            JinjaValues.requireLength(text.length());
        }
        return text.toString();
    }

    static String title(String text) {
        var title = new StringBuilder();
        boolean inWord = false;
        for (char c : text.toCharArray()) {
            title.append(inWord ? Character.toLowerCase(c) : Character.toUpperCase(c));
            inWord = Character.isLetter(c);
        }
        return title.toString();
    }

    static String capitalize(String text) {
        return text.isEmpty()
                ? text
                : text.substring(0, 1).toUpperCase(Locale.ROOT)
                        + text.substring(1).toLowerCase(Locale.ROOT);
    }
}
