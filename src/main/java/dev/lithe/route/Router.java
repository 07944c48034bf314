package dev.lithe.route;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.random.RandomGenerator;

/// Chooses the variant that answers a request: the one it names, else one drawn by weight. Safe for
/// use by several threads.
public final class Router {
    private final SequencedMap<String, Variant> variants = new LinkedHashMap<>();
    private final SequencedMap<String, Double> shares = new LinkedHashMap<>();
    private final RandomGenerator random;

    /// @param weights by variant name, each at least 0 and not all 0; a variant without one has 1
    ///   where `weights` is empty, else 0
    /// @throws LitheException where names or weights are wrong
    public Router(List<Variant> variants, Map<String, Double> weights, RandomGenerator random) {
        this.random = random;
        double sum = check(variants.stream().map(Variant::name).toList(), weights);
        variants.forEach(variant -> this.variants.put(variant.name(), variant));
        for (String name : this.variants.keySet()) {
            double weight = weights.isEmpty() ? 1 : weights.getOrDefault(name, 0.0);
            shares.put(name, weight / sum);
        }
    }

    /// Checks the names that a router would know and their weights, without any variant loaded.
    ///
    /// @return the sum of the weights
    public static double check(List<String> names, Map<String, Double> weights) {
        if (names.isEmpty()) {
            throw LitheException.badInput("no variant to serve; name at least one");
        }
        for (String name : names) {
            if (names.indexOf(name) != names.lastIndexOf(name)) {
                throw LitheException.badInput(
                        "two variants are called '%s'; give each its own name", name);
            }
        }
        double sum = weights.isEmpty() ? names.size() : 0;
        for (Map.Entry<String, Double> entry : weights.entrySet()) {
            if (!names.contains(entry.getKey())) {
                throw LitheException.badInput(
                        "weight for '%s', which is no variant; known: %s",
                        entry.getKey(), String.join(", ", names));
            }
            double weight = entry.getValue();
            if (!(weight >= 0) || Double.isInfinite(weight)) {
                throw LitheException.badInput(
                        "weight %s of '%s'; use 0 or more", weight, entry.getKey());
            }
            sum += weight;
        }
        if (sum <= 0) {
            throw LitheException.badInput("all weights are 0; give one variant more");
        }
        return sum;
    }

    /// The variant for a request.
    ///
    /// @param field the name in the request, or empty
    /// @param metadata the name in its metadata, or empty; the field goes first
    /// @throws LitheException `NOT_FOUND` where the name is unknown
    public Route route(String field, String metadata) {
        if (!field.isEmpty()) {
            return new Route(variant(field), Route.Reason.OVERRIDE_FIELD);
        }
        if (!metadata.isEmpty()) {
            return new Route(variant(metadata), Route.Reason.OVERRIDE_METADATA);
        }
        if (variants.size() == 1) {
            return new Route(first(), Route.Reason.ONLY);
        }
        return new Route(draw(), Route.Reason.WEIGHT);
    }

    private Variant draw() {
        double target = nextDouble();
        Variant last = first();
        for (Map.Entry<String, Double> entry : shares.entrySet()) {
            if (entry.getValue() > 0) {
                last = variant(entry.getKey());
                target -= entry.getValue();
                if (target < 0) {
                    break;
                }
            }
        }
        return last;
    }

    private synchronized double nextDouble() {
        return random.nextDouble();
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
        return shares.getOrDefault(variant(name).name(), 0.0);
    }
}
