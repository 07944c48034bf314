package dev.lithe.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;

/// Which feed-forward channels of a block a token runs: those of the experts with the highest
/// scores. The f channels fall into `count` experts of `f / count` channels side by side, and a
/// linear `mlp.router` (count, d) with a bias, which reads what gate and up read, gives the scores;
/// channels of the others count as 0.
///
/// A model that has them says so in `config.json`, as `"lithe_experts": {"format":
/// "lithe.experts/v1", "count": 48, "active": 24}`. Other programs ignore it, and the router, and
/// run all channels, which is the model as it was.
///
/// @param count experts of a block, or 0 for none: then all channels run
/// @param active experts that a token runs
public record Experts(int count, int active) {
    /// Of a model that says nothing.
    public static final Experts NONE = new Experts(0, 0);

    /// The router's name in a block.
    static final String ROUTER = "mlp.router";

    private static final String KEY = "lithe_experts";
    private static final String FORMAT = "lithe.experts/v1";

    /// What `config`, which `where` names in errors, says of blocks with so many channels.
    static Experts of(ConfigReader config, int channels, String where) {
        if (!config.has(KEY)) {
            return NONE;
        }
        ConfigReader section = config.section(KEY, FORMAT);
        var experts = new Experts(section.count("count"), section.count("active"));
        if (experts.active > experts.count || channels % experts.count != 0) {
            throw LitheException.badInput(
                    "%s: %s has %d experts, %d of them active, for %d channels; no more can be"
                            + " active than there are, and all have equally many channels (moefy"
                            + " goes behind what changes their number)",
                    where, KEY, experts.count, experts.active, channels);
        }
        return experts;
    }

    /// Says it in `config`, in place of what that said.
    public void describe(ObjectNode config) {
        config.remove(KEY);
        if (any()) {
            config.putObject(KEY).put("format", FORMAT).put("count", count).put("active", active);
        }
    }

    /// For people.
    public String label() {
        return "%d of %d experts".formatted(active, count);
    }

    /// Refuses experts where `technique` would take some of their channels.
    public void requireNone(String technique) {
        if (any()) {
            throw LitheException.badInput(
                    "the model runs %s, whose channels belong together; let moefy go behind %s",
                    label(), technique);
        }
    }

    /// Whether there are any.
    public boolean any() {
        return count > 0;
    }
}
