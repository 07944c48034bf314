package dev.lithe.calibrate;

import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;

/// The residual stream of all windows, (samples, context, d) float32 in pieces of a few windows,
/// changed in place as the pass moves through the model.
final class HiddenStates {
    /// Beyond this many tokens at once a step outgrows the processor's caches and gets slower.
    private static final int STEP_TOKENS = 1024;

    private final List<Value> pieces = new ArrayList<>();
    private final long tokens;

    /// From a piece of the stream to what a kernel makes of it.
    @FunctionalInterface
    interface Step {
        Value run(Value x, TensorScope into);
    }

    /// Embeds the windows; the states belong to `scope`.
    HiddenStates(CalibrationSet set, Value embedding, TensorScope scope) {
        int windows = Math.max(1, STEP_TOKENS / set.context());
        for (int from = 0; from < set.samples(); from += windows) {
            int to = Math.min(set.samples(), from + windows);
            try (var step = TensorScope.open()) {
                Value ids = step.tensor(set.ids(from, to), to - from, set.context());
                pieces.add(scope.call("embed", embedding, ids));
            }
        }
        this.tokens = (long) set.samples() * set.context();
    }

    List<Value> pieces() {
        return pieces;
    }

    /// Replaces every piece by what `change` makes of it.
    void replace(Step change) {
        for (Value piece : pieces) {
            try (var step = TensorScope.open()) {
                step.call("overwrite", piece, change.run(piece, step));
            }
        }
    }

    /// The statistics of what `input` makes of all pieces: the input of `slot`.
    ///
    /// @throws LitheException where it is not finite
    InputStatistics gather(List<LinearName> slot, Step input, TensorScope scope) {
        int k = slot.getFirst().inFeatures();
        Value hessian = scope.call("zeros", k, k);
        for (Value piece : pieces) {
            try (var step = TensorScope.open()) {
                step.call("add_outer", hessian, input.run(piece, step), 2.0 / tokens);
            }
        }
        try (var step = TensorScope.open()) {
            step.call("mirror", hessian);
        }
        if (scope.call("count_not_finite", hessian).integer() > 0) {
            throw LitheException.badInput(
                    "the input of '%s' is NaN, infinite or too large for float32 on the calibration"
                            + " text; the checkpoint is broken, or an earlier stage broke it",
                    slot.getFirst().module());
        }
        return new InputStatistics(hessian, tokens, scope);
    }
}
