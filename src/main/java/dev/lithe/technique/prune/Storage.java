package dev.lithe.technique.prune;

/// How weights that are zero are written.
public enum Storage {
    /// Left out, with a bit for each weight that says which: 9 bits a weight at half the weights of
    /// float16.
    COMPACT,
    /// As zeros, which every other program reads, and a quantizer after it.
    DENSE
}
