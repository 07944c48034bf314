package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Reads what a configuration says of rotary positions: in `rope_parameters`, or in `rope_theta`,
/// `rope_scaling` and other keys of its own.
final class RopeReader {
    private static final String ORIGINAL = "original_max_position_embeddings";

    private static final int LLAMA3_POSITIONS = 8192;

    private final ConfigReader config;
    private final ConfigReader rope;
    private final String where;
    private final double theta;
    private final int width;
    private final int positions;

    RopeReader(ConfigReader config, ModelFamily family, String where, int headDim) {
        this.config = config;
        var parameters =
                config.section(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        // Gemma 3 has one for each kind of block
        this.rope =
                parameters.has("full_attention")
                        ? parameters.section("full_attention")
                        : parameters;
        this.where = where;
        this.theta = rope.positive("rope_theta", config.positive("rope_theta", family.theta()));
        this.positions = config.count("max_position_embeddings", family.positions());
        double share =
                rope.positive("partial_rotary_factor", config.positive("partial_rotary_factor", 1));
        boolean needed = family.positionOffset() == BlockStyle.ROTARY;
        this.width = needed ? (int) (headDim * share) : 0;
        if (needed && width != headDim && (width % 2 != 0 || width < 2 || width > headDim)) {
            throw LitheException.badInput(
                    "%s: %d of the %d coordinates of a head are rotated; it must be an even number"
                            + " of them, at least 2",
                    where, width, headDim);
        }
    }

    /// The base of the frequencies.
    double theta() {
        return theta;
    }

    /// How many of a head's coordinates are rotated.
    int width() {
        return width;
    }

    /// How many positions the frequencies hold for.
    int positions() {
        return scaling() instanceof RopeScaling.PerPair
                ? Math.min(positions, originalPositions())
                : positions;
    }

    private int originalPositions() {
        return rope.count(ORIGINAL, config.count(ORIGINAL, positions));
    }

    /// The stretch, or null for none. NTK-aware interpolation (`dynamic`) sets in beyond the
    /// longest context only, which no sequence leaves here.
    @Nullable RopeScaling scaling() {
        String type = rope.text("rope_type", rope.text("type", "default"));
        return switch (type) {
            case "default", "dynamic" -> null;
            case "linear" -> new RopeScaling.Linear(rope.positive("factor", 1));
            case "llama3" -> llama3();
            case "yarn" -> yarn();
            case "longrope", "su" -> longRope();
            default ->
                    throw LitheException.badInput(
                            "%s: rope type '%s' is unknown; Lithe knows default, linear, dynamic,"
                                    + " llama3, yarn and longrope",
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
                rope.positive("factor", 8), low, high, rope.count(ORIGINAL, LLAMA3_POSITIONS));
    }

    private RopeScaling yarn() {
        double factor = rope.positive("factor", 1);
        var turns =
                new RopeScaling.Turns(
                        originalPositions(),
                        rope.positive("beta_fast", RopeScaling.Turns.USUAL_FAST),
                        rope.positive("beta_slow", RopeScaling.Turns.USUAL_SLOW),
                        rope.flag("truncate", true));
        double first = pair(turns.fast());
        double last = pair(turns.slow());
        if (turns.wholePairs()) {
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
                factor, yarnMagnitude(factor), turns, first, last == first ? last + 1e-3 : last);
    }

    /// The pair, as a fraction, that turns `turns` times within the original context.
    private double pair(double turns) {
        int original = originalPositions();
        return width * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private double yarnMagnitude(double factor) {
        double usual =
                rope.has("mscale") && rope.has("mscale_all_dim")
                        ? RopeScaling.Yarn.magnitude(factor, rope.positive("mscale", 1))
                                / RopeScaling.Yarn.magnitude(
                                        factor, rope.positive("mscale_all_dim", 1))
                        : RopeScaling.Yarn.magnitude(factor, 1);
        return rope.positive("attention_factor", usual);
    }

    /// The factors of texts within the original context.
    private RopeScaling longRope() {
        List<Double> factors = new ArrayList<>();
        for (JsonNode factor : rope.get("short_factor")) {
            factors.add(factor.asDouble());
        }
        if (factors.size() != width / 2 || factors.stream().anyMatch(each -> !(each > 0))) {
            throw LitheException.badInput(
                    "%s: short_factor must be %d numbers above 0, one for each pair of a head's"
                            + " rotated coordinates",
                    where, width / 2);
        }
        int original = originalPositions();
        double stretch = rope.positive("factor", (double) positions / original);
        double usual = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
        return new RopeScaling.PerPair(factors, rope.positive("attention_factor", usual));
    }
}
