package dev.lithe.cli;

/// What one request took, as its client saw it.
///
/// @param firstMillis from sending to the first token
/// @param perTokenMillis mean time of each token after the first
record RequestTimes(double firstMillis, double perTokenMillis) {}
