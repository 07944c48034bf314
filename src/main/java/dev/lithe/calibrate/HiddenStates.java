package dev.lithe.calibrate;

import dev.lithe.fault.LitheException;
import dev.lithe.model.EmbeddingTable;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Torch;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The residual stream of all windows at one place of the model, (samples, context, d) float32 in
/// pieces of a few windows: in memory, or in a mapped file where they would not fit.
final class HiddenStates {
    /// Beyond this many tokens at once a step outgrows the processor's caches and gets slower.
    private static final int STEP_TOKENS = 1024;

    private final CalibrationSet set;
    private final int windowsPerPiece;
    private final List<Value> pieces = new ArrayList<>();

    /// From a piece of the stream to what a kernel makes of it.
    @FunctionalInterface
    interface Step {
        Value run(Value x, TensorScope into);
    }

    /// Room for the windows of `set`, d wide; it belongs to `scope`.
    ///
    /// @param file where they lie, or null for memory; it is made, and left for the caller to
    ///   delete
    HiddenStates(CalibrationSet set, int width, @Nullable Path file, TensorScope scope) {
        this.set = set;
        this.windowsPerPiece = Math.max(1, STEP_TOKENS / set.context());
        long samples = set.samples();
        Value all =
                file == null
                        ? scope.call("empty_states", samples, set.context(), width)
                        : scope.call(
                                "mapped_states", file.toString(), samples, set.context(), width);
        for (int from = 0; from < set.samples(); from += windowsPerPiece) {
            pieces.add(scope.call("rows", all, from, end(from)));
        }
    }

    /// Bytes that the stream of `samples` windows takes.
    static long bytes(long samples, long context, long width) {
        return samples * context * width * Float.BYTES;
    }

    /// Tokens of a piece.
    static long stepTokens(long context) {
        return Math.max(1, STEP_TOKENS / context) * context;
    }

    private int end(int from) {
        return Math.min(set.samples(), from + windowsPerPiece);
    }

    List<Value> pieces() {
        return pieces;
    }

    /// Becomes the stream before the first block.
    void embed(EmbeddingTable table) {
        for (int i = 0; i < pieces.size(); i++) {
            int from = i * windowsPerPiece;
            try (var step = TensorScope.open()) {
                Value ids = step.tensor(set.ids(from, end(from)), end(from) - from, set.context());
                step.call("overwrite", pieces.get(i), table.lookup(ids, step));
            }
        }
    }

    /// Becomes what `change` makes of `from`, which may be this stream itself.
    void become(HiddenStates from, Step change) {
        for (int i = 0; i < pieces.size(); i++) {
            try (var step = TensorScope.open()) {
                step.call("overwrite", pieces.get(i), change.run(from.pieces.get(i), step));
            }
        }
    }

    /// The same, and sees to it that the stream stays finite.
    ///
    /// @param label of the part that changes it
    /// @throws LitheException where that is not finite
    void become(HiddenStates from, String label, Step change) {
        become(from, (x, into) -> finite(change.run(x, into), label, into));
    }

    private static Value finite(Value x, String label, TensorScope step) {
        if (step.call("count_not_finite", x).integer() > 0) {
            throw LitheException.badInput(
                    "%s turns the calibration text into NaN or infinities; the checkpoint is broken, or"
                            + " an earlier stage broke it",
                    label);
        }
        return x;
    }

    /// The statistics of what `input` makes of all pieces: the input of `slot`.
    ///
    /// @throws LitheException where it is not finite
    InputStatistics gather(List<LinearName> slot, Step input, TensorScope scope) {
        int k = slot.getFirst().inFeatures();
        long tokens = (long) set.samples() * set.context();
        Value hessian = scope.call("zeros", k, k);
        for (Value piece : pieces) {
            try (var step = TensorScope.open()) {
                step.call("add_outer", hessian, input.run(piece, step), 2.0 / tokens);
            }
        }
        try (var step = TensorScope.open()) {
            step.call("mirror", hessian);
        }
        Torch.releaseMemory();
        if (scope.call("count_not_finite", hessian).integer() > 0) {
            throw LitheException.badInput(
                    "the input of '%s' is NaN, infinite or too large for float32 on the calibration"
                            + " text; the checkpoint is broken, or an earlier stage broke it",
                    slot.getFirst().module());
        }
        return new InputStatistics(hessian, tokens, scope);
    }

    /// Shows `visitor` what `input` makes of each piece.
    ///
    /// @param label of the part that it is in
    /// @throws LitheException where that is not finite
    void show(Step input, String label, LoadedPart.InputVisitor visitor) {
        for (Value piece : pieces) {
            try (var step = TensorScope.open()) {
                visitor.see(finite(input.run(piece, step), label, step), step);
            }
        }
    }
}
