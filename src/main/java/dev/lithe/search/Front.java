package dev.lithe.search;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BiPredicate;

/// The Pareto front: what nothing else beats in every respect.
final class Front {
    private Front() {}

    /// Those of `all` that none other `beats`, in their order.
    static <T> List<T> of(List<T> all, BiPredicate<T, T> beats) {
        return all.stream()
                .filter(each -> all.stream().noneMatch(other -> beats.test(other, each)))
                .toList();
    }

    /// Whether `a` is no larger and no farther from the original than `b`, and not both the same.
    static boolean beats(Outcome a, Outcome b) {
        return a.bytes() <= b.bytes()
                && a.kl() <= b.kl()
                && (a.bytes() < b.bytes() || a.kl() < b.kl());
    }

    /// At most `count` of `sorted`, evenly spread, the first and the last among them.
    static <T> List<T> spread(List<T> sorted, int count) {
        if (sorted.size() <= count) {
            return sorted;
        }
        List<T> spread = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            spread.add(sorted.get(i * (sorted.size() - 1) / Math.max(1, count - 1)));
        }
        return spread;
    }
}
