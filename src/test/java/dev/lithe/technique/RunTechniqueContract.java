package dev.lithe.technique;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.model.ModelSpec;
import java.util.List;
import org.junit.jupiter.api.Test;

/// What every technique of this scope keeps.
///
/// @param <C> its configuration
public abstract class RunTechniqueContract<C extends Record> {
    /// The technique under test.
    protected abstract RunTechnique<C> technique();

    /// Configurations to try, with one that changes nothing as the first.
    protected abstract List<C> configurations();

    private ObjectNode configured(ObjectNode model, C config) {
        ObjectNode result = model.deepCopy();
        technique().configure(result, config);
        return result;
    }

    @Test
    void isRegistered() {
        assertThat(Technique.all()).extracting(Technique::name).contains(technique().name());
        assertThat(technique().scope()).isEqualTo("run");
        assertThat(technique().summary()).isNotBlank().doesNotContain("\n");
    }

    @Test
    void theFirstConfigurationChangesNothing() {
        ObjectNode model = TinyModel.small().config();
        assertThat(configured(model, configurations().getFirst())).isEqualTo(model);
    }

    @Test
    void theModelHearsOfIt() {
        ObjectNode model = TinyModel.small().config();
        ModelSpec before = ModelSpec.of(model, "config.json");
        for (C config : configurations().subList(1, configurations().size())) {
            assertThat(ModelSpec.of(configured(model, config), "config.json")).isNotEqualTo(before);
        }
    }

    @Test
    void twiceIsOnceAndTheLastWordCounts() {
        ObjectNode model = TinyModel.small().config();
        for (C first : configurations()) {
            for (C last : configurations()) {
                assertThat(configured(configured(model, first), last))
                        .isEqualTo(configured(model, last));
            }
        }
    }

    @Test
    void whatOthersReadStaysAsItIs() {
        ObjectNode model = TinyModel.small().config();
        model.putObject("quantization_config").put("quant_method", "compressed-tensors");
        for (C config : configurations()) {
            ObjectNode result = configured(model, config);
            model.properties()
                    .forEach(field ->
                            assertThat(result.get(field.getKey())).isEqualTo(field.getValue()));
        }
    }
}
