package dev.lithe.route;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Set;

/// One split and what came of it since it was set. Safe for use by several threads.
///
/// Requests of one key are not independent of each other, so a key counts once; past [#KEYS] keys,
/// further ones are not counted.
final class Experiment {
    static final int KEYS = 100_000;

    private final Split split;
    private final LinkedHashMap<String, Long> drawn = new LinkedHashMap<>();
    private final Set<Long> seen = new HashSet<>();

    Experiment(Split split) {
        this.split = split;
        split.shares().keySet().forEach(name -> drawn.put(name, 0L));
    }

    Split split() {
        return split;
    }

    /// A name for a number from 0, below 1; counted.
    synchronized String at(double number) {
        String name = split.at(number);
        drawn.merge(name, 1L, Long::sum);
        return name;
    }

    /// The name for a key; counted once.
    String of(String key) {
        String name = split.of(key);
        count(Split.hash(key), name);
        return name;
    }

    private synchronized void count(long key, String name) {
        if (seen.size() < KEYS && seen.add(key)) {
            drawn.merge(name, 1L, Long::sum);
        }
    }

    synchronized long drawn(String name) {
        return drawn.getOrDefault(name, 0L);
    }

    synchronized SampleRatio ratio() {
        List<Long> counts = new ArrayList<>(drawn.values());
        return SampleRatio.of(counts, List.copyOf(split.shares().values()));
    }
}
