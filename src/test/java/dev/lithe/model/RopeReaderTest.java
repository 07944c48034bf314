package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import org.junit.jupiter.api.Test;

/// Stretched rotary frequencies against the formulas of their papers.
class RopeReaderTest {
    private final ObjectNode config = TinyModel.of("phi3").heads(4, 2, 16).positions(128).config();

    private ModelSpec spec() {
        config.remove("partial_rotary_factor");
        return ModelSpec.of(config, "config.json");
    }

    private static double plain(int pair) {
        return Math.pow(10_000, -2.0 * pair / 16);
    }

    @Test
    void linearSlowsAllAlike() {
        config.putObject("rope_scaling").put("type", "linear").put("factor", 2.0);
        double[] frequencies = spec().rotaryFrequencies().getFirst();
        for (int i = 0; i < frequencies.length; i++) {
            assertThat(frequencies[i]).isCloseTo(plain(i) / 2, within(1e-12));
        }
    }

    @Test
    void yarnKeepsWhatTurnsOften() {
        config.putObject("rope_scaling")
                .put("rope_type", "yarn")
                .put("factor", 4.0)
                .put("beta_fast", 4.0)
                .put("beta_slow", 0.25)
                .put("original_max_position_embeddings", 128);
        ModelSpec spec = spec();
        double[] frequencies = spec.rotaryFrequencies().getFirst();
        // the pairs that turn 4 times and a quarter of a time within 128 positions
        double first = Math.floor(16 * Math.log(128 / (4 * 2 * Math.PI)) / (2 * Math.log(10_000)));
        double last = Math.ceil(16 * Math.log(128 / (0.25 * 2 * Math.PI)) / (2 * Math.log(10_000)));
        assertThat(first).isPositive().isLessThan(last - 1);
        for (int i = 0; i < frequencies.length; i++) {
            double slowed = Math.min(1, Math.max(0, (i - first) / (last - first)));
            double expected = plain(i) * (1 - slowed) + plain(i) / 4 * slowed;
            assertThat(frequencies[i]).isCloseTo(expected, within(1e-12));
        }
        assertThat(spec.ropeScaling()).isNotNull();
        assertThat(spec.ropeScaling().magnitude()).isCloseTo(0.1 * Math.log(4) + 1, within(1e-12));
    }

    @Test
    void longRopeKeepsToTheFirstContext() {
        config.put("original_max_position_embeddings", 64);
        ArrayNode factors =
                config.putObject("rope_scaling").put("type", "longrope").putArray("short_factor");
        for (int i = 0; i < 8; i++) {
            factors.add(1 + 0.5 * i);
        }
        ModelSpec spec = spec();
        assertThat(spec.maxPositions()).isEqualTo(64);
        assertThat(spec.ropeScaling()).isNotNull();
        assertThat(spec.ropeScaling().magnitude())
                .isCloseTo(Math.sqrt(1 + Math.log(2) / Math.log(64)), within(1e-12));
        double[] frequencies = spec.rotaryFrequencies().getFirst();
        for (int i = 0; i < frequencies.length; i++) {
            assertThat(frequencies[i]).isCloseTo(plain(i) / (1 + 0.5 * i), within(1e-12));
        }
        factors.remove(0);
        assertThatThrownBy(this::spec).hasMessageContaining("short_factor must be 8 numbers");
    }

    @Test
    void whatIsUnknownIsRefused() {
        config.putObject("rope_scaling").put("rope_type", "spiral");
        assertThatThrownBy(this::spec).hasMessageContaining("rope type 'spiral' is unknown");
        config.putObject("rope_scaling").put("rope_type", "default");
        config.put("partial_rotary_factor", 0.1);
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining("1 of the 16 coordinates of a head are rotated");
    }
}
