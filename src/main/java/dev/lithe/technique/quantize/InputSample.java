package dev.lithe.technique.quantize;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// What the linears of a slot read on the calibration windows, in short.
///
/// @param peak max |X_j| over all tokens, (K)
/// @param mean of |X_j| over all tokens, (K)
/// @param rows evenly spaced tokens of all windows, (M, K)
record InputSample(Value peak, Value mean, Value rows) {
    /// Tokens in the sample: several for each of the few numbers that are chosen by it.
    private static final long ROWS = 4096;

    /// The sample of what `slot` reads by now; it lives in `scope`.
    static InputSample of(LoadedPart part, Slot slot, TensorScope scope) {
        int k = part.part().linears(slot).getFirst().inFeatures();
        long tokens = part.tokens();
        long every = Math.max(1, tokens / ROWS);
        Value magnitudes = scope.call("zeros", 2, k);
        Value rows = scope.list(List.of());
        part.show(
                slot,
                (x, step) -> {
                    step.call("add_magnitudes", magnitudes, x, 1.0 / tokens);
                    step.call("append", rows, step.call("every_row", x, every));
                });
        List<Value> parts = scope.call("unbind", magnitudes).members();
        return new InputSample(parts.getFirst(), parts.getLast(), scope.call("concat_rows", rows));
    }
}
