package dev.lithe.model;

/// Llama 3's stretch of the rotary frequencies (`rope_scaling` with `rope_type: llama3`).
///
/// @param factor by which low frequencies are slowed down
/// @param lowFrequency wavelengths longer than `originalPositions / lowFrequency` are slowed down
///   in full
/// @param highFrequency wavelengths shorter than `originalPositions / highFrequency` stay as they
///   are
/// @param originalPositions context length before the stretch
public record RopeScaling(
        double factor, double lowFrequency, double highFrequency, int originalPositions) {
    /// The scaled form of one frequency, interpolated between the two wavelengths.
    double apply(double frequency) {
        double wavelength = 2 * Math.PI / frequency;
        if (wavelength > originalPositions / lowFrequency) {
            return frequency / factor;
        }
        if (wavelength < originalPositions / highFrequency) {
            return frequency;
        }
        double smooth =
                (originalPositions / wavelength - lowFrequency) / (highFrequency - lowFrequency);
        return (1 - smooth) * frequency / factor + smooth * frequency;
    }
}
