package dev.lithe.evaluate;

import org.jspecify.annotations.Nullable;

/// What the interval of a time ratio allows to say; the point estimate alone decides nothing.
public enum Verdict {
    /// The whole interval is below 1.
    FASTER("faster"),
    /// The whole interval is above 1.
    SLOWER("slower"),
    /// The interval contains 1, or there is none.
    NO_DETECTABLE_DIFFERENCE("no detectable difference");

    private final String label;

    Verdict(String label) {
        this.label = label;
    }

    /// The verdict on a ratio of times.
    public static Verdict of(@Nullable Interval interval) {
        if (interval == null || interval.contains(1)) {
            return NO_DETECTABLE_DIFFERENCE;
        }
        return interval.high() < 1 ? FASTER : SLOWER;
    }

    /// The words for people and reports.
    public String label() {
        return label;
    }
}
