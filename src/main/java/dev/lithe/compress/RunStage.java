package dev.lithe.compress;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.technique.RunTechnique;

/// One step of a recipe that changes no weights but how the model runs.
///
/// @param <C> the technique's configuration
record RunStage<C extends Record>(RunTechnique<C> technique, C config) {
    void configure(ObjectNode model) {
        technique.configure(model, config);
    }

    /// Its configuration as a user would write it.
    ObjectNode toJson() {
        return RecordBinder.toJson(config);
    }
}
