package dev.lithe.tokenize;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/// Jinja's filters and tests, as far as templates use them.
final class JinjaFilters {
    private JinjaFilters() {}

    static @Nullable Object apply(
            String name,
            @Nullable Object value,
            List<@Nullable Object> arguments,
            Map<String, @Nullable Object> named) {
        return switch (name) {
            case "trim" ->
                    JinjaMethods.strip(
                            JinjaValues.text(value),
                            JinjaMethods.argument(arguments, 0),
                            true,
                            true);
            case "tojson" -> json(value, arguments, named);
            case "length", "count" -> (long) size(value);
            case "string" -> JinjaValues.text(value);
            case "safe" -> value;
            case "upper" -> JinjaValues.text(value).toUpperCase(Locale.ROOT);
            case "lower" -> JinjaValues.text(value).toLowerCase(Locale.ROOT);
            case "title" -> JinjaMethods.title(JinjaValues.text(value));
            case "capitalize" -> JinjaMethods.capitalize(JinjaValues.text(value));
            case "replace" ->
                    JinjaMethods.replace(
                            JinjaValues.text(value),
                            JinjaValues.text(JinjaMethods.argument(arguments, 0)),
                            JinjaValues.text(JinjaMethods.argument(arguments, 1)));
            case "join" -> join(value, arguments, named);
            case "list" -> JinjaValues.items(value);
            case "items" -> value instanceof Map<?, ?> map ? JinjaMethods.entries(map) : List.of();
            case "default", "d" -> orElse(value, arguments, named);
            case "first" -> end(value, true);
            case "last" -> end(value, false);
            case "int" -> integer(value);
            case "float" -> real(value);
            case "abs" ->
                    value instanceof Long whole
                            ? (Object) Math.abs(whole)
                            : (Object) Math.abs(JinjaValues.real(value));
            case "reverse" -> JinjaValues.slice(value, null, null, -1L);
            case "unique" -> new ArrayList<>(new LinkedHashSet<>(JinjaValues.items(value)));
            case "sort" -> {
                List<@Nullable Object> sorted = JinjaValues.items(value);
                sorted.sort(JinjaValues::compare);
                yield sorted;
            }
            case "dictsort" -> {
                List<@Nullable Object> entries =
                        value instanceof Map<?, ?> map ? JinjaMethods.entries(map) : List.of();
                entries.sort((a, b) ->
                        JinjaValues.compare(JinjaValues.item(a, 0L), JinjaValues.item(b, 0L)));
                yield entries;
            }
            case "map" -> map(value, arguments, named);
            case "select" -> chosen(value, each -> passes(each, arguments, 0));
            case "reject" -> chosen(value, each -> !passes(each, arguments, 0));
            case "selectattr" -> chosen(value, each -> attributePasses(each, arguments));
            case "rejectattr" -> chosen(value, each -> !attributePasses(each, arguments));
            case "indent" -> indent(value, arguments);
            default -> throw JinjaValues.wrong("the filter '" + name + "' is not known");
        };
    }

    private static String json(
            @Nullable Object value,
            List<@Nullable Object> arguments,
            Map<String, @Nullable Object> named) {
        Object indent = named.getOrDefault("indent", JinjaMethods.argument(arguments, 0));
        return JinjaText.json(
                value, indent == null ? -1 : Math.clamp(JinjaValues.integer(indent), 0, 16));
    }

    private static int size(@Nullable Object value) {
        return value instanceof String text
                ? text.codePointCount(0, text.length())
                : JinjaValues.items(value).size();
    }

    private static String join(
            @Nullable Object value,
            List<@Nullable Object> arguments,
            Map<String, @Nullable Object> named) {
        List<@Nullable Object> parts = JinjaValues.items(value);
        Object attribute = named.get("attribute");
        if (attribute != null) {
            parts.replaceAll(each -> JinjaValues.item(each, attribute));
        }
        Object separator = JinjaMethods.argument(arguments, 0);
        return JinjaMethods.join(parts, separator == null ? "" : JinjaValues.text(separator));
    }

    private static @Nullable Object orElse(
            @Nullable Object value,
            List<@Nullable Object> arguments,
            Map<String, @Nullable Object> named) {
        Object always =
                arguments.size() > 1 ? arguments.get(1) : named.getOrDefault("boolean", false);
        boolean missing = value instanceof JinjaValues.Undefined;
        if (!missing && !(JinjaValues.truth(always) && !JinjaValues.truth(value))) {
            return value;
        }
        return arguments.isEmpty() ? named.getOrDefault("default_value", "") : arguments.getFirst();
    }

    private static @Nullable Object end(@Nullable Object value, boolean first) {
        List<@Nullable Object> items = JinjaValues.items(value);
        if (items.isEmpty()) {
            return JinjaValues.undefined("an item of nothing");
        }
        return first ? items.getFirst() : items.getLast();
    }

    private static long integer(@Nullable Object value) {
        return (long) real(value);
    }

    private static double real(@Nullable Object value) {
        if (!(value instanceof String text)) {
            return JinjaValues.number(value) ? JinjaValues.real(value) : 0;
        }
        try {
            return Double.parseDouble(text.strip());
        } catch (NumberFormatException _) {
            return 0;
        }
    }

    private static List<@Nullable Object> map(
            @Nullable Object value,
            List<@Nullable Object> arguments,
            Map<String, @Nullable Object> named) {
        List<@Nullable Object> items = JinjaValues.items(value);
        Object attribute = named.get("attribute");
        if (attribute != null) {
            items.replaceAll(each -> JinjaValues.item(each, attribute));
        } else {
            String filter = JinjaValues.text(JinjaMethods.argument(arguments, 0));
            List<@Nullable Object> rest = arguments.subList(1, arguments.size());
            items.replaceAll(each -> apply(filter, each, rest, Map.of()));
        }
        return items;
    }

    private static List<@Nullable Object> chosen(
            @Nullable Object value, Predicate<@Nullable Object> test) {
        List<@Nullable Object> items = JinjaValues.items(value);
        items.removeIf(test.negate());
        return items;
    }

    private static boolean attributePasses(
            @Nullable Object each, List<@Nullable Object> arguments) {
        Object attribute = JinjaValues.item(each, JinjaMethods.argument(arguments, 0));
        return passes(attribute, arguments, 1);
    }

    /// Whether a value passes the test named at a place among arguments; without one, whether it is
    /// true.
    private static boolean passes(
            @Nullable Object value, List<@Nullable Object> arguments, int place) {
        return arguments.size() <= place
                ? JinjaValues.truth(value)
                : test(
                        JinjaValues.text(arguments.get(place)),
                        value,
                        JinjaMethods.argument(arguments, place + 1));
    }

    private static String indent(@Nullable Object value, List<@Nullable Object> arguments) {
        Object width = JinjaMethods.argument(arguments, 0);
        String blanks =
                " ".repeat(Math.clamp(width == null ? 4 : JinjaValues.integer(width), 0, 64));
        String text = JinjaValues.text(value);
        return JinjaMethods.replace(text, "\n", "\n" + blanks)
                .replace("\n" + blanks + "\n", "\n\n");
    }

    static boolean test(String name, @Nullable Object value, @Nullable Object argument) {
        return switch (name) {
            case "defined" -> !(value instanceof JinjaValues.Undefined);
            case "undefined" -> value instanceof JinjaValues.Undefined;
            case "none" -> value == null;
            case "string" -> value instanceof String;
            case "number" -> JinjaValues.number(value);
            case "integer" -> value instanceof Long;
            case "float" -> value instanceof Double;
            case "boolean" -> value instanceof Boolean;
            case "true" -> Boolean.TRUE.equals(value);
            case "false" -> Boolean.FALSE.equals(value);
            case "mapping" -> value instanceof Map;
            case "iterable", "sequence" ->
                    value instanceof List || value instanceof Map || value instanceof String;
            case "callable" -> value instanceof JinjaValues.Function;
            case "equalto", "eq", "==", "sameas" -> JinjaValues.same(value, argument);
            case "ne", "!=" -> !JinjaValues.same(value, argument);
            case "in" -> JinjaValues.contains(argument, value);
            case "even" -> Math.floorMod(JinjaValues.integer(value), 2) == 0;
            case "odd" -> Math.floorMod(JinjaValues.integer(value), 2) == 1;
            case "divisibleby" ->
                    JinjaValues.same(JinjaValues.arithmetic("%", value, argument), 0L);
            case "lt", "<", "lessthan" -> JinjaValues.compare(value, argument) < 0;
            case "le", "<=" -> JinjaValues.compare(value, argument) <= 0;
            case "gt", ">", "greaterthan" -> JinjaValues.compare(value, argument) > 0;
            case "ge", ">=" -> JinjaValues.compare(value, argument) >= 0;
            case "lower" ->
                    JinjaValues.text(value)
                            .equals(JinjaValues.text(value).toLowerCase(Locale.ROOT));
            case "upper" ->
                    JinjaValues.text(value)
                            .equals(JinjaValues.text(value).toUpperCase(Locale.ROOT));
            default -> throw JinjaValues.wrong("the test '" + name + "' is not known");
        };
    }
}
