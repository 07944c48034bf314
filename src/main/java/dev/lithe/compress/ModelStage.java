package dev.lithe.compress;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import dev.lithe.technique.ModelTechnique;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One step of a recipe that takes the model as a whole.
///
/// @param <C> the technique's configuration
record ModelStage<C extends Record>(ModelTechnique<C> technique, C config) implements Step {
    @Override
    public String name() {
        return technique.name();
    }

    boolean calibrated() {
        return technique.calibrated(config);
    }

    /// Whether it looks at the model that the whole recipe started from.
    boolean needsOriginal() {
        return technique.needsOriginal(config);
    }

    /// Files besides the calibration text that decide what it makes.
    List<Path> reads() {
        return technique.reads(config);
    }

    /// Whether it finds the result's shapes by measuring.
    boolean findsShapes() {
        return technique.findsShapes(config);
    }

    /// What `config.json` will be.
    ObjectNode outcome(JsonNode model) {
        ObjectNode result = model.deepCopy();
        technique.configure(result, config);
        return result;
    }

    /// Refuses what `source`, or what the stages `before` made of it, forbids.
    void check(Checkpoint source, ModelSpec before, int context) {
        technique.check(source, before, context, config);
    }

    /// What it will take, or null where that cannot be said beforehand.
    @Nullable Effort effort(ModelSpec original, ModelSpec made, CalibrationSet windows) {
        return technique.effort(original, made, windows, config);
    }

    /// Folders that it writes besides the result.
    List<Path> writes() {
        return technique.writes(config);
    }

    /// The form in which it leaves `linear`, of a model with the shapes `spec`, that has the form
    /// `before`.
    LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before) {
        return technique.outcome(spec, linear, before, config);
    }

    WholeModel apply(WholeModel model) {
        return technique.apply(model, config);
    }

    /// Its configuration as a user would write it.
    ObjectNode toJson() {
        return RecordBinder.toJson(config);
    }
}
