package dev.lithe.checkpoint;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;

/// Refuses tensors that hold what is no number.
public final class Finite {
    private Finite() {}

    /// Refuses `tensor`, called `name` in the model in `folder`, where it holds NaN or infinities;
    /// integers hold neither.
    public static void require(Path folder, String name, Value tensor) {
        if (!tensor.dtype().isFloat()) {
            return;
        }
        try (var step = TensorScope.open()) {
            if (step.call("count_not_finite", tensor).integer() > 0) {
                throw LitheException.badInput(
                        "%s: tensor '%s' holds NaN or infinite values; the checkpoint is broken",
                        folder, name);
            }
        }
    }
}
