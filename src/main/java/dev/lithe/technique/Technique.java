package dev.lithe.technique;

import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;

/// A way to make a model smaller.
///
/// Sealed by scope, because the driver must know how much of the model a technique touches; open in
/// membership: a class annotated `@AutoService(Technique.class)` is registered by that alone. Its
/// class comment carries the paper, the equation, a recipe sample, shapes and limits, in that
/// order.
public sealed interface Technique
        permits WeightTechnique, ModelTechnique, AllocationTechnique, RunTechnique {
    /// The name in recipes.
    String name();

    /// What kind of compression it is.
    Family family();

    /// One line for `lithe techniques`.
    String summary();

    /// The configuration of a stage that sets nothing: the authors' defaults, in a record whose
    /// components, in snake_case, are the keys of a recipe stage, and whose compact constructor
    /// refuses impossible values.
    Record defaults();

    /// How much of the model it sees at a time: `linear`, `block` or `model`; `run` where it
    /// changes no weights but how the model runs.
    String scope();

    /// Every registered technique.
    static List<Technique> all() {
        return ServiceLoader.load(Technique.class, Technique.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .sorted(Comparator.comparing(Technique::name))
                .toList();
    }
}
