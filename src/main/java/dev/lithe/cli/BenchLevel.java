package dev.lithe.cli;

import dev.lithe.evaluate.Estimate;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;

/// What was measured under one load.
///
/// @param measured by variant; the first is what the others are compared with
/// @param again the first variant's second runs: what differs there is the machine and the clock
record BenchLevel(BenchLoad load, SequencedMap<String, BenchSamples> measured, BenchSamples again) {
    BenchSamples base() {
        return measured.firstEntry().getValue();
    }

    String baseName() {
        return measured.firstEntry().getKey();
    }

    /// What is compared with the first variant: the control, then the other variants.
    SequencedMap<String, BenchSamples> compared() {
        SequencedMap<String, BenchSamples> compared = new LinkedHashMap<>(measured);
        compared.remove(baseName());
        compared.putFirst(baseName() + " (again)", again);
        return compared;
    }

    Optional<Estimate> ratio(BenchMeasure measure, BenchSamples samples, long seed) {
        return samples.ratio(measure, base(), seed);
    }
}
