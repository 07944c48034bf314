package dev.lithe.technique;

import dev.lithe.checkpoint.ModulePattern;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import java.util.List;
import java.util.stream.Stream;

/// Which linears a stage applies to. A pattern is a module name, its last part (`lm_head`,
/// `down_proj`), or `re:` and a regular expression.
///
/// @param targets patterns to include; empty for all but the embedding, which must be named
/// @param ignore patterns to leave alone
public record Targets(List<String> targets, List<String> ignore) {
    /// Every linear, the embedding too.
    public static final Targets ALL = new Targets(List.of("re:.*"), List.of());

    public Targets {
        targets = List.copyOf(targets);
        ignore = List.copyOf(ignore);
    }

    /// Whether `linear` is included.
    public boolean include(LinearName linear) {
        return (linear.slot() != Slot.EMBEDDING || !targets.isEmpty()) && include(linear.module());
    }

    /// Whether `module` is included, which is no embedding.
    public boolean include(String module) {
        return (targets.isEmpty() || matchesAny(targets, module)) && !matchesAny(ignore, module);
    }

    /// Patterns that name no module of `modules`: usually a misspelling.
    public List<String> unmatched(List<String> modules) {
        return Stream.concat(targets.stream(), ignore.stream())
                .filter(pattern -> modules.stream().noneMatch(name -> matches(pattern, name)))
                .toList();
    }

    /// Whether `pattern` names `module`.
    public static boolean matches(String pattern, String module) {
        return ModulePattern.matches(pattern, module);
    }

    private static boolean matchesAny(List<String> patterns, String module) {
        return patterns.stream().anyMatch(pattern -> matches(pattern, module));
    }
}
