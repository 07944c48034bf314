package dev.lithe.technique;

import dev.lithe.model.LinearName;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// How a stage is configured, as a whole and for single linears.
///
/// @param <C> the technique's configuration
/// @param common what holds where no override does
/// @param overrides the last one that matches a linear holds for it
public record Settings<C extends Record>(C common, List<Override<C>> overrides) {
    /// Other values for the linears that `pattern` names, as in [Targets].
    public record Override<C extends Record>(String pattern, C config) {}

    public Settings {
        overrides = List.copyOf(overrides);
    }

    /// The same for every linear.
    public static <C extends Record> Settings<C> of(C common) {
        return new Settings<>(common, List.of());
    }

    /// What holds for `linear`.
    public C of(LinearName linear) {
        @Nullable C last = null;
        for (Override<C> override : overrides) {
            if (Targets.matches(override.pattern(), linear.module())) {
                last = override.config();
            }
        }
        return last == null ? common : last;
    }
}
