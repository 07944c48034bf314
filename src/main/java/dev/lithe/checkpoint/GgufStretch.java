package dev.lithe.checkpoint;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// How a GGUF file stretches rotary positions, as `rope_scaling` of `config.json` says it. What the
/// keys mean is what llama.cpp does with them (`llama-context.cpp`, `rope_yarn` in ggml).
///
/// | GGUF | here |
/// |---|---|
/// | `linear`, or no type | `linear` |
/// | `yarn` | `yarn`; `attn_factor` multiplies its usual magnitude |
/// | `rope_freqs.weight`, or an `attn_factor` without YaRN | `longrope`: a divisor for each pair |
final class GgufStretch {
    private static final String KEY = ".rope.scaling.";

    /// Keys that no model of these architectures uses, and what says so.
    private static final Map<String, Set<Double>> UNUSED =
            Map.of(
                    "yarn_ext_factor", Set.of(-1.0, 1.0),
                    "yarn_attn_factor", Set.of(1.0),
                    "yarn_log_multiplier", Set.of(0.0),
                    "alpha", Set.of(0.0));

    private final GgufFile gguf;
    private final String architecture;
    private final ObjectNode config;

    private GgufStretch(GgufFile gguf, String architecture, ObjectNode config) {
        this.gguf = gguf;
        this.architecture = architecture;
        this.config = config;
    }

    /// Writes it to `config`, which has `max_position_embeddings` already.
    ///
    /// @param pairs of a head's coordinates
    /// @throws LitheException where Lithe cannot do what the file says
    static void describe(GgufFile gguf, String architecture, int pairs, ObjectNode config) {
        new GgufStretch(gguf, architecture, config).describe(pairs);
    }

    private void describe(int pairs) {
        UNUSED.forEach(this::refuseOther);
        String type = gguf.value(architecture + KEY + "type", String.class);
        String kind = type == null ? "linear" : type;
        List<Float> divisors = GgufTensors.ropeFactors(gguf, pairs);
        double factor = positive(KEY + "factor", positive(".rope.scale_linear", 1));
        double magnitude = positive(KEY + "attn_factor", 1);
        if (kind.equals("yarn") && divisors.isEmpty()) {
            yarn(factor, magnitude);
        } else if (kind.equals("linear") || kind.equals("none")) {
            double all = kind.equals("none") ? 1 : factor;
            if (!divisors.isEmpty() || magnitude != 1) {
                eachPair(divisors, pairs, all, magnitude);
            } else if (all != 1) {
                scaling("linear", all);
            }
        } else {
            throw LitheException.badInput(
                    "%s: rotary positions are stretched by '%s'%s, which Lithe does not read from"
                            + " GGUF; give the model as a Hugging Face folder",
                    gguf.file(), kind, divisors.isEmpty() ? "" : " and pair by pair (rope_freqs)");
        }
    }

    private void eachPair(List<Float> divisors, int pairs, double factor, double magnitude) {
        ObjectNode scaling = scaling("longrope", 1).put("attention_factor", magnitude);
        for (String key : List.of("short_factor", "long_factor")) {
            var each = scaling.putArray(key);
            for (int i = 0; i < pairs; i++) {
                float divisor = divisors.isEmpty() ? 1 : divisors.get(i);
                if (factor == 1) {
                    each.add(divisor);
                } else {
                    each.add(divisor * factor);
                }
            }
        }
    }

    private void yarn(double factor, double magnitude) {
        Long original = gguf.value(architecture + KEY + "original_context_length", Long.class);
        ObjectNode scaling = scaling("yarn", factor);
        scaling.put(
                "original_max_position_embeddings",
                original == null ? config.path("max_position_embeddings").asLong() : original);
        for (String beta : List.of("beta_fast", "beta_slow")) {
            if (gguf.values().containsKey(architecture + KEY + "yarn_" + beta)) {
                scaling.put(beta, positive(KEY + "yarn_" + beta, 1));
            }
        }
        if (magnitude != 1) {
            double usual = factor <= 1 ? 1 : 1 + 0.1 * Math.log(factor);
            scaling.put("attention_factor", usual * magnitude);
        }
    }

    private ObjectNode scaling(String type, double factor) {
        return config.putObject("rope_scaling").put("rope_type", type).put("factor", factor);
    }

    private void refuseOther(String key, Set<Double> usual) {
        Double found = gguf.decimal(architecture + KEY + key);
        if (found != null && !usual.contains(found)) {
            throw LitheException.badInput(
                    "%s: %s%s%s is %s, which Lithe does not read from GGUF; give the model as a"
                            + " Hugging Face folder",
                    gguf.file(), architecture, KEY, key, found);
        }
    }

    /// To llama.cpp, 0 says nothing.
    private double positive(String key, double fallback) {
        Double found = gguf.decimal(architecture + key);
        if (found != null && (!(found >= 0) || found.isInfinite())) {
            throw LitheException.badInput(
                    "%s: %s%s is %s; it must be a number above 0",
                    gguf.file(), architecture, key, found);
        }
        return found == null || found == 0 ? fallback : found;
    }
}
