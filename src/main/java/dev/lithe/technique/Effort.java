package dev.lithe.technique;

/// What a stage that takes the model as a whole will take, estimated from shapes before any work.
///
/// @param operations floating-point ones, of large matrix products, in which all else is counted
/// @param memoryBytes the most anonymous memory at a time; the model's mapped file is not counted
/// @param diskBytes the most on disk at a time, besides the result
public record Effort(double operations, long memoryBytes, long diskBytes) {}
