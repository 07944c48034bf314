package dev.lithe.engine;

import java.util.List;
import java.util.Optional;

/// Finds stop strings in text that arrives in pieces. Text that may be the start of one is held
/// back until it is clear.
final class StopMatcher {
    private final List<String> stops;
    private final StringBuilder held = new StringBuilder();
    private String matched = "";

    StopMatcher(List<String> stops) {
        this.stops = stops;
    }

    /// The text that is now clear: up to a stop string, or up to what may become one.
    String add(String text) {
        held.append(text);
        int cut = held.length();
        int end = Integer.MAX_VALUE;
        for (String stop : stops) {
            int at = held.indexOf(stop);
            int stopEnd = at + stop.length();
            if (at >= 0 && (stopEnd < end || stopEnd == end && at < cut)) {
                cut = at;
                end = stopEnd;
                matched = stop;
            }
        }
        if (matched.isEmpty()) {
            cut = held.length() - possibleStart();
        }
        return take(cut);
    }

    /// The text held back, which nothing can complete any more.
    String finish() {
        return take(held.length());
    }

    /// The stop string that was found.
    Optional<String> matched() {
        return matched.isEmpty() ? Optional.empty() : Optional.of(matched);
    }

    /// Length of the longest end of the text that starts a stop string.
    private int possibleStart() {
        int longest = 0;
        for (String stop : stops) {
            for (int n = Math.min(stop.length() - 1, held.length()); n > longest; n--) {
                if (stop.startsWith(held.substring(held.length() - n))) {
                    longest = n;
                }
            }
        }
        return longest;
    }

    private String take(int length) {
        String text = held.substring(0, length);
        held.delete(0, length);
        return text;
    }
}
