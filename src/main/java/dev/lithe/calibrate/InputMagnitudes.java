package dev.lithe.calibrate;

import dev.lithe.tensor.Value;

/// How large each channel of a linear layer's input was on the calibration windows.
///
/// @param peak max |X_j|, (K) float32
/// @param mean of |X_j|, (K) float32
public record InputMagnitudes(Value peak, Value mean) {}
