package dev.lithe.technique.distill;

import dev.lithe.tensor.Value;

/// Something that [Training] makes small.
interface Problem {
    /// What is trained: a list of tensors.
    Value leaves();

    /// The gradient gathered so far, a tensor for each leaf.
    Value sum();

    /// Forgets what was gathered.
    void clear();

    /// Adds the gradient of the mean loss of step `step`, which follows from its number alone.
    ///
    /// @return that loss
    double add(int step);

    /// The mean loss on what no step sees.
    double heldOut();

    /// Tokens of a step.
    int tokens();
}
