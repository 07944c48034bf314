package dev.lithe.route;

import dev.lithe.fault.LitheException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/// How requests that name no variant are shared out: by a number drawn, or by a key.
///
/// The same key gets the same name, by weighted rendezvous hashing (Thaler and Ravishankar 1998;
/// weights after Schindelhauer and Schomaker 2005): the name with the largest w / -ln u wins, where
/// u in (0, 1) is a hash of key and name. When weights change, no more keys move than must.
///
/// @param shares by name, in order, each from 0 to 1 and together 1
record Split(SequencedMap<String, Double> shares) {
    Split {
        shares = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(shares));
    }

    /// @param weights by name, each at least 0 and not all 0; a name without one has 1 where
    ///   `weights` is empty, else 0
    /// @throws LitheException where names or weights are wrong
    static Split of(List<String> names, Map<String, Double> weights) {
        double sum = check(names, weights);
        SequencedMap<String, Double> shares = new LinkedHashMap<>();
        for (String name : names) {
            shares.put(name, (weights.isEmpty() ? 1 : weights.getOrDefault(name, 0.0)) / sum);
        }
        return new Split(shares);
    }

    /// Checks names and weights.
    ///
    /// @return the sum of the weights
    static double check(List<String> names, Map<String, Double> weights) {
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
        if (sum <= 0 || Double.isInfinite(sum)) {
            throw LitheException.badInput("the weights add up to %s; use numbers above 0", sum);
        }
        return sum;
    }

    /// The name for a number from 0, below 1.
    String at(double drawn) {
        double target = drawn;
        String last = shares.firstEntry().getKey();
        for (Map.Entry<String, Double> entry : shares.entrySet()) {
            if (entry.getValue() > 0) {
                last = entry.getKey();
                target -= entry.getValue();
                if (target < 0) {
                    break;
                }
            }
        }
        return last;
    }

    /// The name for a key.
    String of(String key) {
        String winner = shares.firstEntry().getKey();
        double best = Double.NEGATIVE_INFINITY;
        for (Map.Entry<String, Double> entry : shares.entrySet()) {
            double score = entry.getValue() / -Math.log(unit(key, entry.getKey()));
            if (entry.getValue() > 0 && score > best) {
                best = score;
                winner = entry.getKey();
            }
        }
        return winner;
    }

    /// The first 8 bytes of SHA-256 of `key`.
    static long hash(String key) {
        try {
            byte[] digest =
                    MessageDigest.getInstance("SHA-256")
                            .digest(key.getBytes(StandardCharsets.UTF_8));
            return ByteBuffer.wrap(digest).getLong();
        } catch (NoSuchAlgorithmException e) {
            throw LitheException.internal("this Java lacks SHA-256", e);
        }
    }

    /// A number in (0, 1) that key and name determine. No name holds a line break.
    private static double unit(String key, String name) {
        return ((hash(name + "\n" + key) >>> 11) + 0.5) * 0x1p-53;
    }
}
