package dev.lithe.tokenize;

import dev.lithe.fault.LitheException;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Names that a template sees at one place: its own, then those around it. All scopes of one
/// rendering share its output limit and its number of steps, so that no template runs away.
final class JinjaScope {
    private static final int MAX_STEPS = 200_000;
    private static final int MAX_DEPTH = 200;

    private final @Nullable JinjaScope outer;
    private final Map<String, @Nullable Object> names = new HashMap<>();
    private final int depth;
    private final int[] steps;

    private JinjaScope(@Nullable JinjaScope outer) {
        this.outer = outer;
        this.depth = outer == null ? 0 : outer.depth + 1;
        this.steps = outer == null ? new int[1] : outer.steps;
        if (depth > MAX_DEPTH) {
            throw LitheException.badInput(
                    "the chat template nests more than %d deep; mend the template", MAX_DEPTH);
        }
    }

    static JinjaScope root(Map<String, ? extends @Nullable Object> names) {
        var scope = new JinjaScope(null);
        scope.names.putAll(names);
        return scope;
    }

    JinjaScope inner() {
        return new JinjaScope(this);
    }

    /// Counts one piece of work.
    void step() {
        steps[0]++;
        if (steps[0] > MAX_STEPS) {
            throw LitheException.badInput(
                    "the chat template takes more than %d steps; mend the template or send less",
                    MAX_STEPS);
        }
    }

    @Nullable Object get(String name) {
        for (JinjaScope scope = this; scope != null; scope = scope.outer) {
            if (scope.names.containsKey(name)) {
                return scope.names.get(name);
            }
        }
        return JinjaValues.undefined(name);
    }

    void set(String name, @Nullable Object value) {
        names.put(name, value);
    }
}
