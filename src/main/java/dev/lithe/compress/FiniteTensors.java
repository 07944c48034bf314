package dev.lithe.compress;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.checkpoint.Finite;
import dev.lithe.model.LinearName;
import java.nio.file.Path;

/// Refuses weights that are no numbers, before anything is made of them.
final class FiniteTensors {
    private FiniteTensors() {}

    /// Refuses `part` of the model in `folder` where a tensor of it holds NaN or infinities.
    static void require(Path folder, LoadedPart part) {
        for (LinearName name : part.part().linears()) {
            part.linear(name)
                    .tensors()
                    .forEach((suffix, tensor) ->
                            Finite.require(folder, name.module() + "." + suffix, tensor));
        }
        part.part().norms().forEach((slot, name) -> Finite.require(folder, name, part.norm(slot)));
    }
}
