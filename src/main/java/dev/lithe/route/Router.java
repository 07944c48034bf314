package dev.lithe.route;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.random.RandomGenerator;

/// Chooses the variant that answers a request: the one it names, else the one its key belongs to,
/// else one drawn by weight. Safe for use by several threads.
public final class Router {
    private static final int MAX_KEY = 256;

    private final SequencedMap<String, Variant> variants = new LinkedHashMap<>();
    private final RandomGenerator random;
    private volatile Experiment experiment;

    /// @param weights by variant name, each at least 0 and not all 0; a variant without one has 1
    ///   where `weights` is empty, else 0
    /// @throws LitheException where names or weights are wrong
    public Router(List<Variant> variants, Map<String, Double> weights, RandomGenerator random) {
        this.random = random;
        List<String> names = variants.stream().map(Variant::name).toList();
        this.experiment = new Experiment(Split.of(names, weights));
        variants.forEach(variant -> this.variants.put(variant.name(), variant));
    }

    /// Checks the names that a router would know and their weights, without any variant loaded.
    public static void check(List<String> names, Map<String, Double> weights) {
        Split.check(names, weights);
    }

    /// Shares requests out anew from now on, and counts them anew.
    ///
    /// @param weights by variant name; one that is left out gets 0
    /// @throws LitheException where they are wrong, which changes nothing
    public void reweigh(Map<String, Double> weights) {
        if (weights.isEmpty()) {
            throw LitheException.badField("weights", "are missing; give one variant more than 0");
        }
        experiment = new Experiment(Split.of(List.copyOf(variants.keySet()), weights));
    }

    /// The variant for a request.
    ///
    /// @param field the name in the request, or empty
    /// @param metadata the name in its metadata, or empty; the field goes first
    /// @param key whose requests all go to one variant, or empty
    /// @throws LitheException `NOT_FOUND` where the name is unknown
    public Route route(String field, String metadata, String key) {
        if (key.length() > MAX_KEY) {
            throw LitheException.badField(
                    "x-ab-key", "%d characters; use at most %d", key.length(), MAX_KEY);
        }
        if (!field.isEmpty()) {
            return new Route(variant(field), Route.Reason.OVERRIDE_FIELD);
        }
        if (!metadata.isEmpty()) {
            return new Route(variant(metadata), Route.Reason.OVERRIDE_METADATA);
        }
        if (variants.size() == 1) {
            return new Route(first(), Route.Reason.ONLY);
        }
        if (!key.isEmpty()) {
            Experiment asked = experiment;
            String name = asked.of(key);
            return new Route(variant(name), Route.Reason.STICKY, () -> asked.answered(key, name));
        }
        Experiment asked = experiment;
        String name = asked.at(nextDouble());
        return new Route(variant(name), Route.Reason.WEIGHT, () -> asked.answered(name));
    }

    private synchronized double nextDouble() {
        return random.nextDouble();
    }

    /// Requests that went to a variant by weight since the weights were last set; those of one key
    /// count once.
    public long drawn(String name) {
        return experiment.drawn(name);
    }

    /// Whether the requests that the variants answered are shared out as their weights say. One
    /// that refuses or breaks more of its requests than another stands out here.
    public SampleRatio sampleRatio() {
        return experiment.ratio();
    }

    /// The variant of that name.
    public Variant variant(String name) {
        Variant variant = variants.get(name);
        if (variant == null) {
            throw LitheException.of(
                    Fault.NOT_FOUND,
                    "variant '%s' is not served; known: %s",
                    name.length() > 64 ? name.substring(0, 64) + "..." : name,
                    String.join(", ", variants.keySet()));
        }
        return variant;
    }

    /// The variant for a question that is no generation, so that none is drawn: the one named, else
    /// the first.
    ///
    /// @param field the name in the request, or empty
    /// @param metadata the name in its metadata, or empty; the field goes first
    public Variant named(String field, String metadata) {
        String name = field.isEmpty() ? metadata : field;
        return name.isEmpty() ? first() : variant(name);
    }

    /// The variant that answers questions about none in particular.
    public Variant first() {
        return variants.firstEntry().getValue();
    }

    /// All variants, in order.
    public List<Variant> variants() {
        return List.copyOf(variants.values());
    }

    /// The part of the requests without a name that a variant gets, from 0 to 1.
    public double share(String name) {
        return experiment.split().shares().getOrDefault(variant(name).name(), 0.0);
    }
}
