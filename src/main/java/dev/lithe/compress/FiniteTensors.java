package dev.lithe.compress;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;

/// Refuses weights that are no numbers, before anything is made of them.
final class FiniteTensors {
    private FiniteTensors() {}

    /// Refuses `tensor`, called `name` in the model in `folder`, where it holds NaN or infinities.
    static void require(Path folder, String name, Value tensor, TensorScope scope) {
        if (tensor.dtype().isFloat() && scope.call("count_not_finite", tensor).integer() > 0) {
            throw LitheException.badInput(
                    "%s: tensor '%s' holds NaN or infinite values; the checkpoint is broken",
                    folder, name);
        }
    }

    /// Refuses `part` of the model in `folder` where a tensor of it holds NaN or infinities.
    static void require(Path folder, LoadedPart part) {
        try (var step = TensorScope.open()) {
            for (LinearName name : part.part().linears()) {
                part.linear(name)
                        .tensors()
                        .forEach((suffix, tensor) ->
                                require(folder, name.module() + "." + suffix, tensor, step));
            }
            part.part()
                    .norms()
                    .forEach((slot, name) -> require(folder, name, part.norm(slot), step));
        }
    }
}
