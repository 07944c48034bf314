package dev.lithe.compress;

/// Bits and group size that one linear could have.
///
/// @param bytes that it would take on disk
/// @param cost how far the model's answers would move, in nats
record Choice(int bits, int groupSize, long bytes, double cost) {}
