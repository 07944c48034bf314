package dev.lithe.technique;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A technique that takes the model as a whole, and may give it other shapes. It reads one folder
/// and what it makes is written to another, from which the stages after it go on.
///
/// @param <C> its configuration
public non-sealed interface ModelTechnique<C extends Record> extends Technique {
    @Override
    C defaults();

    @Override
    default String scope() {
        return "model";
    }

    /// Whether it looks at data.
    default boolean calibrated(C config) {
        return true;
    }

    /// Whether it looks at the model that the whole recipe started from.
    default boolean needsOriginal(C config) {
        return false;
    }

    /// Files besides the calibration text that decide what it makes.
    default List<Path> reads(C config) {
        return List.of();
    }

    /// Whether it finds the result's shapes by measuring; [#configure] then makes shapes of the
    /// size that they will have.
    default boolean findsShapes(C config) {
        return false;
    }

    /// Makes `model`, a copy of `config.json`, say what the result's shapes are. The plan knows
    /// nothing else of them, so they follow from shapes and configuration alone; what further
    /// depends on the weights is up to [#apply].
    ///
    /// @throws LitheException where it cannot be done, with the reason and the way out
    void configure(ObjectNode model, C config);

    /// Refuses what the files beside `config.json`, or what the stages before made of the original,
    /// forbid, before any work.
    ///
    /// @param source the model that the whole recipe starts from
    /// @param before shapes of the model that comes to it
    /// @param context tokens of a window
    /// @throws LitheException with the reason and the way out
    default void check(Checkpoint source, ModelSpec before, int context, C config) {}

    /// Folders that it writes besides the result.
    default List<Path> writes(C config) {
        return List.of();
    }

    /// What it will take.
    ///
    /// @param original shapes of the model that the whole recipe starts from
    /// @param made shapes of the result
    /// @param windows that it looks at
    /// @return null where that cannot be said beforehand
    default @Nullable Effort effort(
            ModelSpec original, ModelSpec made, CalibrationSet windows, C config) {
        return null;
    }

    /// The form in which it leaves linears that have the form `before`; only dense ones, unless it
    /// says otherwise.
    ///
    /// @throws LitheException where it cannot take them
    default LinearForm outcome(LinearForm before, C config) {
        if (before instanceof LinearForm.Dense) {
            return before;
        }
        throw LitheException.badInput(
                "linears are already %s; it takes dense ones, so it goes before", before.label());
    }

    /// The form in which it leaves `linear`, of a model with the shapes `spec`, that has the form
    /// `before`.
    ///
    /// @throws LitheException where it cannot take it
    default LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, C config) {
        return outcome(before, config);
    }

    /// Does it. `model` is left as it is; the caller closes both.
    ///
    /// @return a model with the shapes that [#configure] promised
    /// @throws LitheException where the numbers forbid it
    WholeModel apply(WholeModel model, C config);
}
