package dev.lithe.model;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/// Which positions the key-value heads of one block see, token after token: sinks, those of the
/// most attention, and the last ones (H2O). When no more fit, eight go.
final class NaiveHeavyHitters {
    private static final int LEAVE = 8;

    private final int sinks;
    private final int heavy;
    private final int window;
    private final int places;
    private final List<List<Integer>> kept = new ArrayList<>();
    private final List<Map<Integer, Double>> sums = new ArrayList<>();

    NaiveHeavyHitters(int heads, int sinks, int heavy, int window, int context) {
        this.sinks = sinks;
        this.heavy = heavy;
        this.window = window;
        int seen = sinks + heavy + window;
        this.places = seen + (context - seen) / LEAVE * LEAVE;
        for (int head = 0; head < heads; head++) {
            kept.add(new ArrayList<>());
            sums.add(new HashMap<>());
        }
    }

    /// What the token at the next position sees by one head, itself as the last.
    List<Integer> next(int head, int position) {
        List<Integer> seen = kept.get(head);
        if (seen.size() == sinks + heavy + window) {
            List<Integer> candidates = seen.subList(sinks, sinks + heavy + LEAVE);
            List<Integer> most =
                    candidates.stream()
                            .sorted(
                                    Comparator.comparingDouble(
                                            (Integer j) -> -sums.get(head).getOrDefault(j, 0.0)))
                            .limit(heavy)
                            .toList();
            candidates.retainAll(most);
        }
        seen.add(position);
        return seen;
    }

    /// Where a position stands when the token at `now` looks: where it is in the text, until the
    /// places end; then all but the sinks go back, eight at a time and not behind those.
    int place(int position, int now) {
        int steps = now < places ? 0 : (now - places) / LEAVE + 1;
        return position < sinks ? position : Math.max(sinks, position - steps * LEAVE);
    }

    /// One query gave `weights` to what it saw.
    void gave(int head, List<Integer> seen, double... weights) {
        IntStream.range(0, weights.length)
                .forEach(i -> sums.get(head).merge(seen.get(i), weights[i], Double::sum));
    }
}
