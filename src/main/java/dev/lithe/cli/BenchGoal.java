package dev.lithe.cli;

import dev.lithe.fault.LitheException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.stream.Collectors;

/// The times within which a request counts as served well. Goodput is the rate of those that do
/// (DistServe, Zhong et al. 2024); one that failed does not.
///
/// @param millis by measure; empty where nothing is aimed at
record BenchGoal(Map<BenchMeasure, Double> millis) {
    BenchGoal {
        millis = Map.copyOf(millis);
    }

    /// From what the command line says, such as `ttft=200,tpot=50`.
    ///
    /// @throws LitheException where a name or a number makes no sense
    static BenchGoal of(Map<String, Double> asked) {
        var millis = new EnumMap<BenchMeasure, Double>(BenchMeasure.class);
        asked.forEach((key, value) -> {
            if (!(value > 0 && value < Double.POSITIVE_INFINITY)) {
                throw LitheException.badInput(
                        "--goodput %s=%s; use milliseconds above 0", key, value);
            }
            millis.put(measure(key), value);
        });
        return new BenchGoal(millis);
    }

    private static BenchMeasure measure(String key) {
        return Arrays.stream(BenchMeasure.values())
                .filter(each -> each.once() && each.key().equals(key))
                .findFirst()
                .orElseThrow(() ->
                        LitheException.badInput(
                                "--goodput knows no '%s'; use ttft, tpot, e2e", key));
    }

    boolean isSet() {
        return !millis.isEmpty();
    }

    boolean reached(RequestTimes times) {
        return times.completed()
                && millis.entrySet().stream()
                        .allMatch(each -> each.getKey().of(times)[0] <= each.getValue());
    }

    /// For people.
    String label() {
        return millis.entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .map(each -> each.getKey().key() + " " + number(each.getValue()) + " ms")
                .collect(Collectors.joining(", "));
    }

    private static String number(Double value) {
        return value == Math.rint(value) ? Long.toString(value.longValue()) : value.toString();
    }
}
