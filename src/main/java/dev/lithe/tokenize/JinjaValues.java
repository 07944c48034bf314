package dev.lithe.tokenize;

import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Values of templates and what Python's operators do with them. A value is null (None), Boolean,
/// Long, Double, String, List, Map with String keys, [Function] or [Undefined].
final class JinjaValues {
    static final int MAX_LENGTH = 8 << 20;

    private static final int MAX_RANGE = 100_000;

    /// A macro or a method.
    @FunctionalInterface
    interface Function {
        @Nullable Object call(Arguments arguments);
    }

    /// What a function is called with.
    record Arguments(List<@Nullable Object> placed, Map<String, @Nullable Object> named) {
        /// The value at a place; null where there is none.
        @Nullable Object at(int place) {
            return place < placed.size() ? placed.get(place) : null;
        }
    }

    /// What a name without a value is: empty where it is shown, an error where it is used.
    record Undefined(String name) {}

    /// What `namespace()` makes: a map that may be changed.
    static final class Namespace extends LinkedHashMap<String, @Nullable Object> {
        private static final long serialVersionUID = 1;
    }

    private JinjaValues() {}

    static Undefined undefined(String name) {
        return new Undefined(name);
    }

    static LitheException wrong(String what) {
        return LitheException.badInput("the chat template cannot be rendered: %s", what);
    }

    static String type(@Nullable Object value) {
        return switch (value) {
            case null -> "None";
            case Undefined missing -> "'" + missing.name() + "', which is undefined";
            case String _ -> "a string";
            case List<?> _ -> "a list";
            case Map<?, ?> _ -> "a mapping";
            case Boolean _ -> "a boolean";
            case Number _ -> "a number";
            default -> "a function";
        };
    }

    static boolean truth(@Nullable Object value) {
        return switch (value) {
            case null -> false;
            case Undefined _ -> false;
            case Boolean flag -> flag;
            case Long number -> number != 0;
            case Double number -> number != 0;
            case String text -> !text.isEmpty();
            case List<?> list -> !list.isEmpty();
            case Map<?, ?> map -> !map.isEmpty();
            default -> true;
        };
    }

    /// Python's `str`.
    static String text(@Nullable Object value) {
        return switch (value) {
            case null -> "None";
            case Undefined _ -> "";
            case String text -> text;
            case Boolean flag -> flag ? "True" : "False";
            case List<?> _, Map<?, ?> _ -> JinjaText.repr(value);
            default -> Objects.toString(value);
        };
    }

    /// A text no longer than is allowed.
    static String bounded(StringBuilder text) {
        requireLength(text.length());
        return text.toString();
    }

    static void requireLength(long length) {
        if (length > MAX_LENGTH) {
            throw wrong("a text of " + length + " characters; the limit is " + MAX_LENGTH);
        }
    }

    static List<@Nullable Object> items(@Nullable Object value) {
        return switch (value) {
            case Undefined _ -> List.of();
            case List<?> list -> new ArrayList<>(list);
            case Map<?, ?> map -> new ArrayList<>(map.keySet());
            case String text ->
                    new ArrayList<>(text.codePoints().mapToObj(Character::toString).toList());
            case null, default -> throw wrong(type(value) + " cannot be iterated");
        };
    }

    static boolean same(@Nullable Object a, @Nullable Object b) {
        if (a instanceof Undefined && b instanceof Undefined) {
            return true;
        }
        if (number(a) && number(b)) {
            return real(a) == real(b);
        }
        return Objects.equals(a, b);
    }

    static boolean contains(@Nullable Object container, @Nullable Object item) {
        return switch (container) {
            case String text -> {
                if (!(item instanceof String part)) {
                    throw wrong(type(item) + " cannot be looked for in a string");
                }
                yield text.contains(part);
            }
            case Map<?, ?> map -> item != null && map.containsKey(item);
            case null, default -> items(container).stream().anyMatch(each -> same(each, item));
        };
    }

    static int compare(@Nullable Object a, @Nullable Object b) {
        if (number(a) && number(b)) {
            return Double.compare(real(a), real(b));
        }
        if (a instanceof String one && b instanceof String other) {
            return one.compareTo(other);
        }
        throw wrong(type(a) + " cannot be compared with " + type(b));
    }

    static boolean number(@Nullable Object value) {
        return value instanceof Number || value instanceof Boolean;
    }

    private static boolean whole(@Nullable Object value) {
        return value instanceof Long || value instanceof Boolean;
    }

    static long integer(@Nullable Object value) {
        return switch (value) {
            case Long number -> number;
            case Boolean flag -> flag ? 1 : 0;
            case null, default -> throw wrong(type(value) + " is no whole number");
        };
    }

    static double real(@Nullable Object value) {
        return value instanceof Double number ? number : integer(value);
    }

    static Object arithmetic(String operator, @Nullable Object a, @Nullable Object b) {
        if (operator.equals("+") && a instanceof String one && b instanceof String other) {
            return bounded(new StringBuilder(one).append(other));
        }
        if (operator.equals("+") && a instanceof List<?> one && b instanceof List<?> other) {
            requireLength((long) one.size() + other.size());
            List<@Nullable Object> joined = new ArrayList<>(one);
            joined.addAll(other);
            return joined;
        }
        if (operator.equals("%") && a instanceof String format) {
            return JinjaText.format(format, b);
        }
        if (!number(a) || !number(b)) {
            throw wrong("'" + operator + "' between " + type(a) + " and " + type(b));
        }
        boolean divides = operator.equals("/") || operator.equals("//") || operator.equals("%");
        if (divides && real(b) == 0) {
            throw wrong("division by zero");
        }
        return whole(a) && whole(b) && !operator.equals("/")
                ? ofIntegers(operator, integer(a), integer(b))
                : ofReals(operator, real(a), real(b));
    }

    private static Object ofIntegers(String operator, long a, long b) {
        return switch (operator) {
            case "+" -> a + b;
            case "-" -> a - b;
            case "*" -> a * b;
            case "//" -> Math.floorDiv(a, b);
            case "%" -> Math.floorMod(a, b);
            default -> b < 0 ? (Object) Math.pow(a, b) : (Object) (long) Math.pow(a, b);
        };
    }

    private static Object ofReals(String operator, double a, double b) {
        return switch (operator) {
            case "+" -> a + b;
            case "-" -> a - b;
            case "*" -> a * b;
            case "/" -> a / b;
            case "//" -> Math.floor(a / b);
            case "%" -> a - b * Math.floor(a / b);
            default -> Math.pow(a, b);
        };
    }

    /// `value.name`: a method first, as in Python, then an item.
    static @Nullable Object attribute(@Nullable Object value, String name) {
        Function method = JinjaMethods.find(value, name);
        return method == null ? item(value, name) : method;
    }

    /// `value[key]`.
    static @Nullable Object item(@Nullable Object value, @Nullable Object key) {
        return switch (value) {
            case Map<?, ?> map when key != null && map.containsKey(key) -> map.get(key);
            case List<?> list when key instanceof Long index -> at(list, index);
            case String text when key instanceof Long index -> {
                List<@Nullable Object> characters = items(text);
                yield at(characters, index);
            }
            case Undefined missing -> throw wrong("'" + missing.name() + "' is undefined");
            case null, default -> undefined(text(key));
        };
    }

    private static @Nullable Object at(List<?> list, long index) {
        long place = index < 0 ? index + list.size() : index;
        return place < 0 || place >= list.size()
                ? undefined("item " + index)
                : list.get((int) place);
    }

    /// `value[start:stop:step]`; null where a bound is left out.
    static Object slice(
            @Nullable Object value,
            @Nullable Object start,
            @Nullable Object stop,
            @Nullable Object step) {
        List<@Nullable Object> all = items(value);
        long by = step == null ? 1 : integer(step);
        if (by == 0) {
            throw wrong("a slice with step 0");
        }
        int size = all.size();
        long from = start == null ? (by > 0 ? 0 : size - 1) : bound(integer(start), size, by);
        long to = stop == null ? (by > 0 ? size : -1) : bound(integer(stop), size, by);
        List<@Nullable Object> taken = new ArrayList<>();
        for (long i = from; by > 0 ? i < to : i > to; i += by) {
            taken.add(all.get((int) i));
        }
        return value instanceof String
                ? String.join("", taken.stream().map(JinjaValues::text).toList())
                : taken;
    }

    private static long bound(long index, int size, long step) {
        long place = index < 0 ? index + size : index;
        return step > 0 ? Math.clamp(place, 0, size) : Math.clamp(place, -1, size - 1);
    }

    /// Python's `range`.
    static List<@Nullable Object> range(Arguments arguments) {
        int count = arguments.placed().size();
        long start = count > 1 ? integer(arguments.at(0)) : 0;
        long stop = integer(arguments.at(count > 1 ? 1 : 0));
        long step = count > 2 ? integer(arguments.at(2)) : 1;
        List<@Nullable Object> numbers = new ArrayList<>();
        if (step == 0) {
            throw wrong("a range with step 0");
        }
        for (long i = start; step > 0 ? i < stop : i > stop; i += step) {
            if (numbers.size() == MAX_RANGE) {
                throw wrong("a range of more than " + MAX_RANGE + " numbers");
            }
            numbers.add(i);
        }
        return numbers;
    }
}
