package dev.lithe.model;

import dev.lithe.fault.LitheException;
import org.jspecify.annotations.Nullable;

/// Reads how rotary frequencies are stretched from `rope_scaling` or `rope_parameters`.
final class RopeReader {
    /// Turns within the original context above which YaRN keeps a pair, and below which it slows it
    /// down in full.
    private static final double BETA_FAST = 32;

    private static final double BETA_SLOW = 1;

    private static final int LLAMA3_POSITIONS = 8192;

    private final ConfigReader rope;
    private final String where;
    private final double theta;
    private final int width;
    private final int positions;

    /// @param theta base of the frequencies
    /// @param width of a head's rotated coordinates
    /// @param positions longest context
    RopeReader(ConfigReader rope, String where, double theta, int width, int positions) {
        this.rope = rope;
        this.where = where;
        this.theta = theta;
        this.width = width;
        this.positions = positions;
    }

    /// The stretch, or null for none. NTK-aware interpolation (`dynamic`) sets in beyond the
    /// longest context only, which no sequence leaves here.
    @Nullable RopeScaling read() {
        String type = rope.text("rope_type", rope.text("type", "default"));
        return switch (type) {
            case "default", "dynamic" -> null;
            case "linear" -> new RopeScaling.Linear(rope.positive("factor", 1));
            case "llama3" -> llama3();
            case "yarn" -> yarn();
            default ->
                    throw LitheException.badInput(
                            "%s: rope type '%s' is unknown; Lithe knows default, linear, dynamic,"
                                    + " llama3, and yarn",
                            where, type);
        };
    }

    private RopeScaling llama3() {
        double low = rope.positive("low_freq_factor", 1);
        double high = rope.positive("high_freq_factor", 4);
        if (low >= high) {
            throw LitheException.badInput(
                    "%s: low_freq_factor %s must be below high_freq_factor %s", where, low, high);
        }
        return new RopeScaling.Llama3(
                rope.positive("factor", 8),
                low,
                high,
                rope.count("original_max_position_embeddings", LLAMA3_POSITIONS));
    }

    private RopeScaling yarn() {
        double factor = rope.positive("factor", 1);
        double first = pair(rope.positive("beta_fast", BETA_FAST));
        double last = pair(rope.positive("beta_slow", BETA_SLOW));
        if (rope.flag("truncate", true)) {
            first = Math.floor(first);
            last = Math.ceil(last);
        }
        first = Math.max(first, 0);
        last = Math.min(last, width - 1);
        if (last < first) {
            throw LitheException.badInput(
                    "%s: beta_slow must be below beta_fast (usual are 1 and 32)", where);
        }
        return new RopeScaling.Yarn(
                factor, yarnMagnitude(factor), first, last == first ? last + 1e-3 : last);
    }

    /// The pair, as a fraction, that turns `turns` times within the original context.
    private double pair(double turns) {
        int original = rope.count("original_max_position_embeddings", positions);
        return width * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private double yarnMagnitude(double factor) {
        double usual =
                rope.has("mscale") && rope.has("mscale_all_dim")
                        ? yarnMagnitude(factor, rope.positive("mscale", 1))
                                / yarnMagnitude(factor, rope.positive("mscale_all_dim", 1))
                        : yarnMagnitude(factor, 1);
        return rope.positive("attention_factor", usual);
    }

    private static double yarnMagnitude(double factor, double scale) {
        return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
    }
}
