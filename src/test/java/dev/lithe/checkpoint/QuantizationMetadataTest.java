package dev.lithe.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class QuantizationMetadataTest {
    private static final Scheme INT4 = new Scheme(4, true, 64, false);
    private static final Scheme INT3 = new Scheme(3, false, 0, false);
    private static final Scheme INT8 = new Scheme(8, true, 0, true);

    private final Map<String, @Nullable Scheme> schemes = new LinkedHashMap<>();

    private ObjectNode described() {
        return QuantizationMetadata.describe(schemes);
    }

    private QuantizationMetadata read() {
        ObjectNode config = new JsonMapper().createObjectNode();
        config.set("quantization_config", described());
        return QuantizationMetadata.of(config, "config.json");
    }

    @Test
    void whatIsDescribedIsReadBack() {
        schemes.put("model.layers.0.self_attn.q_proj", INT4);
        schemes.put("model.layers.0.mlp.up_proj", INT3);
        schemes.put("model.layers.1.self_attn.q_proj", INT8);
        schemes.put("model.layers.10.self_attn.q_proj", INT4);
        schemes.put("model.layers.1.mlp.up_proj", null);
        schemes.put("lm_head", null);
        QuantizationMetadata read = read();
        schemes.forEach(
                (name, scheme) -> assertThat(read.schemeOf(name)).as(name).isEqualTo(scheme));
        assertThat(described().path("format").asText()).isEqualTo("mixed-precision");
    }

    @Test
    void oneSchemeIsDescribedByTheClassOfItsLayers() {
        schemes.put("model.layers.0.self_attn.q_proj", INT4);
        schemes.put("lm_head", null);
        ObjectNode described = described();
        assertThat(described.at("/config_groups/group_0/targets/0").asText()).isEqualTo("Linear");
        assertThat(described.path("format").asText()).isEqualTo("pack-quantized");
        assertThat(described.at("/ignore/0").asText()).isEqualTo("lm_head");
        assertThat(read().schemeOf("model.layers.0.self_attn.q_proj")).isEqualTo(INT4);
        assertThat(read().schemeOf("lm_head")).isNull();
    }

    @Test
    void dynamicActivationsAreDescribedPerToken() {
        schemes.put("a", INT8);
        ObjectNode described = described();
        assertThat(described.path("format").asText()).isEqualTo("int-quantized");
        assertThat(described.at("/config_groups/group_0/input_activations/strategy").asText())
                .isEqualTo("token");
        assertThat(read().schemeOf("a")).isEqualTo(INT8);
    }

    @Test
    void patternsNameWholePartsOfANameOrMatchFromItsStart() {
        assertThat(ModulePattern.matches("lm_head", "lm_head")).isTrue();
        assertThat(ModulePattern.matches("q_proj", "layers.0.q_proj")).isTrue();
        assertThat(ModulePattern.matches("proj", "layers.0.q_proj")).isFalse();
        assertThat(ModulePattern.matches("re:.*q_proj", "layers.0.q_proj")).isTrue();
        assertThat(ModulePattern.matches("re:q_proj", "layers.0.q_proj")).isFalse();
        assertThat(ModulePattern.matches("re:layers", "layers.0.q_proj")).isTrue();
    }

    @Test
    void aModelWithoutSettingsIsNotQuantized() {
        var none = QuantizationMetadata.of(new JsonMapper().createObjectNode(), "config.json");
        assertThat(none.schemeOf("lm_head")).isNull();
    }
}
