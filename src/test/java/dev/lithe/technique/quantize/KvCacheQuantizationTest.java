package dev.lithe.technique.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.model.KvCacheForm;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.RunTechniqueContract;
import dev.lithe.technique.quantize.KvCacheQuantization.Config;
import java.util.List;
import org.junit.jupiter.api.Test;

class KvCacheQuantizationTest extends RunTechniqueContract<Config> {
    @Override
    protected RunTechnique<Config> technique() {
        return new KvCacheQuantization();
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                new Config(16, 16),
                technique().defaults(),
                new Config(4, 4),
                new Config(8, 4),
                new Config(16, 8));
    }

    @Test
    void saysWhatItDoes() {
        ObjectNode model = TinyModel.small().config();
        technique().configure(model, new Config(4, 8));
        assertThat(model.path("lithe_kv_cache"))
                .hasToString("{\"format\":\"lithe.kv/v1\",\"keys\":4,\"values\":8}");
        assertThat(ModelSpec.of(model, "config.json").kvCache()).isEqualTo(new KvCacheForm(4, 8));
    }

    @Test
    void refusesOtherBits() {
        for (int bits : new int[] {-8, 0, 2, 5, 32}) {
            assertThatThrownBy(() -> new Config(bits, 8))
                    .hasMessage(
                            "keys in %d bits; choose 4 or 8, or 16 to leave them in float", bits);
            assertThatThrownBy(() -> new Config(8, bits)).hasMessageContaining("values in " + bits);
        }
    }
}
