package dev.lithe.technique;

import dev.lithe.checkpoint.QuantizationMetadata;
import java.util.List;

/// Which linears a stage applies to. A pattern is a module name, its last part (`lm_head`,
/// `down_proj`), or `re:` and a regular expression.
///
/// @param targets patterns to include; empty for all
/// @param ignore patterns to leave alone
public record Targets(List<String> targets, List<String> ignore) {
    public Targets {
        targets = List.copyOf(targets);
        ignore = List.copyOf(ignore);
    }

    /// Whether `module` is included.
    public boolean include(String module) {
        return (targets.isEmpty() || matchesAny(targets, module)) && !matchesAny(ignore, module);
    }

    /// Patterns that name no module of `modules`: usually a misspelling.
    public List<String> unmatched(List<String> modules) {
        return java.util.stream.Stream.concat(targets.stream(), ignore.stream())
                .filter(pattern ->
                        modules.stream()
                                .noneMatch(name -> QuantizationMetadata.matches(pattern, name)))
                .toList();
    }

    private static boolean matchesAny(List<String> patterns, String module) {
        return patterns.stream().anyMatch(pattern -> QuantizationMetadata.matches(pattern, module));
    }
}
