package dev.lithe.technique;

/// A technique that measures the model as a whole and then configures the stage that follows it.
///
/// @param <C> its configuration
public non-sealed interface AllocationTechnique<C extends Record> extends Technique {
    @Override
    C defaults();

    @Override
    default String scope() {
        return "model";
    }
}
