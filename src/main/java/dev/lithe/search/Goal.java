package dev.lithe.search;

import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// What is looked for: limits, and what counts among recipes that keep them.
///
/// @param maxBytes of the weight files, or null
/// @param maxPerplexityRatio to the original, or null
/// @param minSpeedup the original's time per token by the model's, or null
public record Goal(
        @Nullable Long maxBytes,
        @Nullable Double maxPerplexityRatio,
        @Nullable Double minSpeedup,
        Preference preference) {
    /// What is best within the limits.
    public enum Preference {
        /// The least divergence from the original. KL tells recipes apart with far less noise than
        /// perplexity.
        QUALITY,
        /// The fewest bytes.
        BYTES,
        /// The least time per token.
        SPEED
    }

    public Goal {
        requirePositive("--max-bytes", maxBytes);
        requirePositive("--max-perplexity-ratio", maxPerplexityRatio);
        requirePositive("--min-speedup", minSpeedup);
    }

    private static void requirePositive(String option, @Nullable Number limit) {
        if (limit != null && !(limit.doubleValue() > 0 && limit.doubleValue() < 1e18)) {
            throw LitheException.badInput(
                    "%s %s; it must be a number above 0 and below 1e18", option, limit);
        }
    }

    /// Whether models have to be timed to be ranked.
    boolean timed() {
        return minSpeedup != null || preference == Preference.SPEED;
    }

    /// How far `outcome` is beyond the limits: the sum of the logarithms of what it has too much by
    /// what it may have; 0 within them.
    double excess(Outcome outcome) {
        double excess = 0;
        if (maxBytes != null) {
            excess += excess(outcome.bytes(), maxBytes);
        }
        if (maxPerplexityRatio != null) {
            excess += excess(outcome.perplexityRatio(), maxPerplexityRatio);
        }
        if (minSpeedup != null && outcome.speedup() != null) {
            excess += excess(minSpeedup, outcome.speedup());
        }
        return excess;
    }

    private static double excess(double value, double limit) {
        return Math.max(0, Math.log(value / limit));
    }

    /// The best first: what keeps the limits, or is nearest to them, then what is preferred.
    Comparator<Outcome> order() {
        return Comparator.comparingDouble((Outcome outcome) -> excess(outcome))
                .thenComparingDouble(this::cost)
                .thenComparingDouble(Outcome::kl)
                .thenComparingLong(Outcome::bytes);
    }

    private double cost(Outcome outcome) {
        return switch (preference) {
            case QUALITY -> outcome.kl();
            case BYTES -> outcome.bytes();
            case SPEED -> outcome.speedup() == null ? 0 : -outcome.speedup();
        };
    }

    /// The limits that `outcome` misses, for people.
    List<String> missed(Outcome outcome) {
        List<String> missed = new ArrayList<>();
        if (maxBytes != null && outcome.bytes() > maxBytes) {
            missed.add("%d bytes (limit %d)".formatted(outcome.bytes(), maxBytes));
        }
        if (maxPerplexityRatio != null && outcome.perplexityRatio() > maxPerplexityRatio) {
            missed.add(
                    text(
                            "perplexity ratio %.4f (limit %s)",
                            outcome.perplexityRatio(), maxPerplexityRatio));
        }
        if (minSpeedup != null && outcome.speedup() != null && outcome.speedup() < minSpeedup) {
            missed.add(text("speedup %.2f (limit %s)", outcome.speedup(), minSpeedup));
        }
        return missed;
    }

    private static String text(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }
}
