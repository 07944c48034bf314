package dev.lithe.compress;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.CalibratedLinearTechnique;
import dev.lithe.technique.CalibratedLinearTechnique.Fitted;
import dev.lithe.technique.LinearScope;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.util.function.Supplier;

/// One step of a recipe: a technique with its configuration.
///
/// @param <C> the technique's configuration
record Stage<C extends Record>(LinearScope<C> technique, C config) {
    String name() {
        return technique.name();
    }

    Targets targets() {
        return technique.targets(config);
    }

    LinearForm outcome(LinearName linear, LinearForm before) {
        return targets().include(linear.module())
                ? technique.outcome(linear, before, config)
                : before;
    }

    boolean calibrated() {
        return technique instanceof CalibratedLinearTechnique;
    }

    /// Applies the stage to `linear`, if it is one of its targets.
    ///
    /// @param seen gathers the statistics of its input when they are asked for
    Fitted apply(
            LinearName linear,
            Linear before,
            LinearForm after,
            Supplier<InputStatistics> seen,
            TensorScope scope) {
        if (!targets().include(linear.module())) {
            return new Fitted(before, null);
        }
        return switch (technique) {
            case LinearTechnique<C> free ->
                    new Fitted(free.apply(before, after, config, scope), null);
            case CalibratedLinearTechnique<C> calibrated ->
                    calibrated.apply(before, after, seen.get(), config, scope);
        };
    }

    DType otherTensors(DType before) {
        return technique.otherTensors(before, config);
    }
}
