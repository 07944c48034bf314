package dev.lithe.route;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// One split and what came of it since it was set. Safe for use by several threads.
///
/// Requests of one key are not independent of each other, so a key counts once; past [#KEYS] keys,
/// further ones are not counted.
final class Experiment {
    static final int KEYS = 100_000;

    private final Split split;
    private final Tally drawn = new Tally();
    private final Tally answered = new Tally();

    /// Counts by variant.
    private static final class Tally {
        private final Map<String, Long> counts = new LinkedHashMap<>();
        private final Set<Long> keys = new HashSet<>();

        void add(String name) {
            counts.merge(name, 1L, Long::sum);
        }

        void addOnce(long key, String name) {
            if (keys.size() < KEYS && keys.add(key)) {
                add(name);
            }
        }

        long of(String name) {
            return counts.getOrDefault(name, 0L);
        }
    }

    Experiment(Split split) {
        this.split = split;
    }

    Split split() {
        return split;
    }

    /// A name for a number from 0, below 1; counted.
    synchronized String at(double number) {
        String name = split.at(number);
        drawn.add(name);
        return name;
    }

    /// The name for a key; counted once.
    synchronized String of(String key) {
        String name = split.of(key);
        drawn.addOnce(Split.hash(key), name);
        return name;
    }

    /// Notes that a variant that was drawn has answered.
    synchronized void answered(String name) {
        answered.add(name);
    }

    /// The same of a key's; counted once.
    synchronized void answered(String key, String name) {
        answered.addOnce(Split.hash(key), name);
    }

    synchronized long drawn(String name) {
        return drawn.of(name);
    }

    /// Whether the answers are shared out as the split says.
    synchronized SampleRatio ratio() {
        List<Long> counts = split.shares().keySet().stream().map(answered::of).toList();
        return SampleRatio.of(counts, List.copyOf(split.shares().values()));
    }
}
