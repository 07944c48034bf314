package dev.lithe.calibrate;

import dev.lithe.tensor.Value;

/// What the calibration windows showed at the input of a linear layer.
///
/// @param hessian H = 2/n X Xᵀ, (K, K) float32, where X (K, n) are its inputs: the second
///   derivative of the squared error ||W X - Q X||² / n in a row of W
/// @param tokens n; of the embedding, whose inputs are single tokens, H is the identity: each of
///   its numbers counts alike
public record InputStatistics(Value hessian, long tokens) {}
