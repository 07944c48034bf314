package dev.lithe.evaluate;

/// A 95 % interval.
public record Interval(double low, double high) {
    /// Whether `value` lies in it, ends included.
    public boolean contains(double value) {
        return low <= value && value <= high;
    }
}
