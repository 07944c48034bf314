package dev.lithe.cli;

import dev.lithe.evaluate.Bootstrap;
import dev.lithe.evaluate.Estimate;
import dev.lithe.evaluate.Percentiles;
import io.grpc.Status;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// What one variant took under one load, in rounds that alternate with the others'.
record BenchSamples(List<Round> rounds) {
    private static final double MILLIS = 1000;

    /// Requests that were under way together.
    ///
    /// @param millis from the first request to the last end
    record Round(List<RequestTimes> requests, double millis) {
        Stream<RequestTimes> completed() {
            return requests.stream().filter(RequestTimes::completed);
        }
    }

    BenchSamples {
        rounds = List.copyOf(rounds);
    }

    Stream<RequestTimes> requests() {
        return rounds.stream().flatMap(round -> round.requests().stream());
    }

    long completed() {
        return requests().filter(RequestTimes::completed).count();
    }

    /// Requests that failed, by how.
    Map<Status.Code, Long> failures() {
        return requests()
                .filter(each -> !each.completed())
                .collect(
                        Collectors.groupingBy(
                                RequestTimes::status, TreeMap::new, Collectors.counting()));
    }

    /// The server's words on the first of the failures with this status.
    String reason(Status.Code status) {
        return requests()
                .filter(each -> each.status() == status)
                .map(RequestTimes::reason)
                .findFirst()
                .orElse("");
    }

    /// In milliseconds; empty where no request completed, or has such a time.
    Optional<Percentiles> percentiles(BenchMeasure measure) {
        double[] values = values(measure, rounds.stream());
        return values.length == 0 ? Optional.empty() : Optional.of(Percentiles.of(values));
    }

    private static double[] values(BenchMeasure measure, Stream<Round> rounds) {
        return rounds.flatMap(Round::completed)
                .flatMapToDouble(times -> Arrays.stream(measure.of(times)))
                .toArray();
    }

    /// How many milliseconds late the client sent, at worst.
    double latest() {
        return requests().mapToDouble(RequestTimes::late).max().orElse(0);
    }

    double tokensPerSecond() {
        return perSecond(Arrays.stream(indices()), BenchSamples::tokens);
    }

    double requestsPerSecond() {
        return perSecond(Arrays.stream(indices()), round -> round.completed().count());
    }

    /// Requests per second that reach the goal.
    double goodput(BenchGoal goal) {
        return perSecond(
                Arrays.stream(indices()),
                round -> round.requests().stream().filter(goal::reached).count());
    }

    /// The part of all requests that reach the goal.
    double good(BenchGoal goal) {
        return requests().filter(goal::reached).count() / (double) requests().count();
    }

    private static double tokens(Round round) {
        return round.completed().mapToInt(RequestTimes::tokens).sum();
    }

    private int[] indices() {
        return IntStream.range(0, rounds.size()).toArray();
    }

    private double perSecond(IntStream drawn, ToDoubleFunction<Round> amount) {
        double sum = 0;
        double millis = 0;
        for (int i : drawn.toArray()) {
            sum += amount.applyAsDouble(rounds.get(i));
            millis += rounds.get(i).millis();
        }
        return MILLIS * sum / millis;
    }

    /// The ratio of medians, this by `base`; rounds are paired, and those in which nothing
    /// completed on one side are left out. Empty where none is left.
    Optional<Estimate> ratio(BenchMeasure measure, BenchSamples base, long seed) {
        int[] pairs = pairs(base);
        return estimate(
                pairs,
                seed,
                drawn ->
                        median(measure, Arrays.stream(drawn).mapToObj(rounds::get))
                                / median(measure, Arrays.stream(drawn).mapToObj(base.rounds::get)));
    }

    /// The ratio of tokens per second, this by `base`.
    Optional<Estimate> throughputRatio(BenchSamples base, long seed) {
        return estimate(
                pairs(base),
                seed,
                drawn ->
                        perSecond(Arrays.stream(drawn), BenchSamples::tokens)
                                / base.perSecond(Arrays.stream(drawn), BenchSamples::tokens));
    }

    private int[] pairs(BenchSamples base) {
        return Arrays.stream(indices())
                .filter(i ->
                        rounds.get(i).completed().findAny().isPresent()
                                && base.rounds.get(i).completed().findAny().isPresent())
                .toArray();
    }

    private static Optional<Estimate> estimate(
            int[] pairs, long seed, ToDoubleFunction<int[]> statistic) {
        if (pairs.length == 0) {
            return Optional.empty();
        }
        return Optional.of(
                Bootstrap.estimate(
                        pairs.length,
                        seed,
                        drawn ->
                                statistic.applyAsDouble(
                                        Arrays.stream(drawn).map(i -> pairs[i]).toArray())));
    }

    private static double median(BenchMeasure measure, Stream<Round> rounds) {
        return Percentiles.of(values(measure, rounds)).p50();
    }
}
