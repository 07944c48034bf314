package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/// A pattern that names modules: a module's name, its last part, or `re:` and a regular expression
/// that matches from the start. Expressions come from files, so the work that one may cause is
/// bounded.
public final class ModulePattern {
    private static final String REGEX = "re:";
    private static final int MAX_LENGTH = 1000;
    private static final int MAX_STEPS = 100_000;

    private ModulePattern() {}

    /// Whether `pattern` names `module`.
    public static boolean matches(String pattern, String module) {
        if (!pattern.startsWith(REGEX)) {
            return pattern.equals(module) || module.endsWith("." + pattern);
        }
        if (pattern.length() > MAX_LENGTH) {
            throw LitheException.badInput(
                    "pattern '%s': %d characters, the limit is %d",
                    pattern, pattern.length(), MAX_LENGTH);
        }
        try {
            Pattern regex = Pattern.compile(pattern.substring(REGEX.length()));
            return regex.matcher(new Metered(module, pattern)).lookingAt();
        } catch (PatternSyntaxException e) {
            throw LitheException.badInput("pattern '%s': %s", pattern, e.getDescription())
                    .causedBy(e);
        }
    }

    /// A text that may be looked at so many times only; a backtracking match has no other bound.
    private static final class Metered implements CharSequence {
        private final String text;
        private final String pattern;
        private int steps;

        Metered(String text, String pattern) {
            this.text = text;
            this.pattern = pattern;
        }

        @Override
        public char charAt(int index) {
            steps++;
            if (steps > MAX_STEPS) {
                throw LitheException.badInput(
                        "pattern '%s': takes more than %d steps to match '%s'; simplify it",
                        pattern, MAX_STEPS, text);
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return text.subSequence(start, end);
        }

        @Override
        public String toString() {
            return text;
        }
    }
}
