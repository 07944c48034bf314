package dev.lithe.compress;

/// One entry of a recipe's list of stages that changes the model: its weights linear by linear, or
/// the model as a whole.
public sealed interface Step permits Stage, ModelStage {
    /// The technique's name.
    String name();
}
