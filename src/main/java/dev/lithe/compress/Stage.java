package dev.lithe.compress;

import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;

/// One step of a recipe: a technique with its configuration.
///
/// @param <C> the technique's configuration
record Stage<C extends Record>(LinearTechnique<C> technique, C config) {
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

    Linear apply(LinearName linear, Linear before, LinearForm after, TensorScope scope) {
        return targets().include(linear.module())
                ? technique.apply(before, after, config, scope)
                : before;
    }

    DType otherTensors(DType before) {
        return technique.otherTensors(before, config);
    }
}
