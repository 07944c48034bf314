package dev.lithe.technique;

/// Which errors of a weight count how much when a matrix is cut to a rank.
public enum Weighting {
    /// All alike: plain singular value decomposition.
    NONE,
    /// By the size of the input that it multiplies.
    ASVD,
    /// By what they do to the outputs on the calibration text.
    WHITENED
}
