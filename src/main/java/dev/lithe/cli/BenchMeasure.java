package dev.lithe.cli;

import java.util.function.Function;

/// What is told of a request's times. The time per token (TPOT) is that of the tokens after the
/// first.
enum BenchMeasure {
    FIRST_TOKEN("time to first token", "ttft", times -> new double[] {times.first()}),
    PER_TOKEN("time per token", "tpot", times -> new double[] {times.perToken()}),
    BETWEEN("between messages", "itl", RequestTimes::gaps),
    WHOLE("whole request", "e2e", times -> new double[] {times.whole()});

    private final String title;
    private final String key;
    private final Function<RequestTimes, double[]> millis;

    BenchMeasure(String title, String key, Function<RequestTimes, double[]> millis) {
        this.title = title;
        this.key = key;
        this.millis = millis;
    }

    String title() {
        return title;
    }

    /// Its name in options and JSON.
    String key() {
        return key;
    }

    /// One or several values of a completed request.
    double[] of(RequestTimes times) {
        return millis.apply(times);
    }

    /// Whether the number of values is that of requests, so that it can be compared and aimed at.
    boolean once() {
        return this != BETWEEN;
    }
}
