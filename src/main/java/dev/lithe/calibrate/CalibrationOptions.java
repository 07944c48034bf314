package dev.lithe.calibrate;

import dev.lithe.fault.LitheException;
import org.jspecify.annotations.Nullable;

/// What to calibrate with: the recipe section `calibration`.
///
/// 128 windows, as GPTQ, SparseGPT and AWQ use. Of 256 tokens each, where they use 512 or 2048:
/// 32,768 tokens are more than twice the inputs of any linear of a 70 B model, so every Hessian has
/// full rank; hidden states stay small (1 GB where d = 8192); and no model is run beyond the length
/// at which it was trained, which for small ones is less than they declare.
///
/// @param text path of a UTF-8 text, or null for the demo's
/// @param samples windows
/// @param context tokens of a window, or null for 256 or what the model holds, if that is less
/// @param seed of the windows' places in the text
public record CalibrationOptions(
        @Nullable String text, int samples, @Nullable Integer context, long seed) {
    /// Nothing set.
    public static final CalibrationOptions DEFAULTS = new CalibrationOptions(null, 128, null, 0);

    private static final int MAX_SAMPLES = 1 << 16;
    private static final int DEFAULT_CONTEXT = 256;

    public CalibrationOptions {
        if (text != null && (text.isBlank() || text.indexOf('\0') >= 0)) {
            throw LitheException.badInput("text names no file; leave the key out for the demo's");
        }
        if (samples < 1 || samples > MAX_SAMPLES) {
            throw LitheException.badInput(
                    "samples is %d; choose 1 to %d (128 is usual)", samples, MAX_SAMPLES);
        }
        if (context != null && context < 2) {
            throw LitheException.badInput("context is %d; choose 2 or more", context);
        }
    }

    /// The same windows of another text.
    public CalibrationOptions withText(String file) {
        return new CalibrationOptions(file, samples, context, seed);
    }

    /// Tokens of a window for a model of `positions` positions.
    ///
    /// @throws LitheException where more are asked for than the model holds
    public int contextFor(int positions) {
        if (context == null) {
            return Math.min(DEFAULT_CONTEXT, positions);
        }
        if (context > positions) {
            throw LitheException.badInput(
                    "calibration context is %d, this model takes at most %d", context, positions);
        }
        return context;
    }
}
