package dev.lithe.evaluate;

import org.jspecify.annotations.Nullable;

/// A measured number with its 95 % interval, or null where the samples are too few for one.
public record Estimate(double value, @Nullable Interval interval) {}
