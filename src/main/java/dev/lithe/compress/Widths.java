package dev.lithe.compress;

import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.quantize.BitAllocation;
import java.util.List;

/// The widths that each linear could have.
///
/// @param stage whose bits are chosen
/// @param allocation what to choose from
record Widths(Stage<?> stage, BitAllocation.Config allocation) {
    /// Whether `linear` is the stage's, and no override settles it.
    boolean chooses(LinearName linear) {
        return stage.targets().include(linear)
                && !stage.overrides(linear)
                && !groupSizes(linear).isEmpty();
    }

    /// The group sizes that divide `linear`.
    List<Integer> groupSizes(LinearName linear) {
        return allocation.groupSizes().stream()
                .filter(size -> size == 0 || linear.inFeatures() % size == 0)
                .toList();
    }

    /// What the stage would make of `linear` at a width.
    LinearForm form(LinearName linear, LinearForm before, int bits, int groupSize) {
        return stage.with(bits, groupSize).outcome(linear, before);
    }

    /// Bytes of `linear` at a width.
    long bytes(LinearName linear, LinearForm before, int bits, int groupSize) {
        return form(linear, before, bits, groupSize)
                .bytes(linear.outFeatures(), linear.inFeatures());
    }

    /// Bytes of `linear` at the smallest of its widths.
    long least(LinearName linear, LinearForm before) {
        return groupSizes(linear).stream()
                .flatMapToLong(size ->
                        allocation.bits().stream()
                                .mapToLong(bits -> bytes(linear, before, bits, size)))
                .min()
                .orElseThrow();
    }
}
