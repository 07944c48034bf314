package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.distill.Distill.Config;
import dev.lithe.tensor.DType;
import java.util.List;
import org.junit.jupiter.api.Test;

class DistillTest extends ModelTechniqueContract<Config> {
    private final Distill distill = new Distill();

    @Override
    protected ModelTechnique<Config> technique() {
        return distill;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                new Config(0, 2, 2, 1e-3, 0, 1, 0, 0, DType.F32),
                new Config(2, 2, 2, 1e-3, 0.5, 2, 0.5, 1, DType.BF16));
    }

    @Test
    void studentsBeginAsBlocksFarApart() {
        assertThat(Distill.spaced(6, 3)).containsExactly(0, 3, 5);
        assertThat(Distill.spaced(6, 2)).containsExactly(0, 5);
        assertThat(Distill.spaced(4, 1)).containsExactly(0);
    }

    @Test
    void refusesWhatCannotBe() {
        assertThatThrownBy(() ->
                        distill.configure(
                                model().config(), new Config(5, 2, 2, 1e-3, 0, 1, 0, 0, DType.F32)))
                .hasMessageContaining("layers is 5, and the model has 4 blocks");
        assertThatThrownBy(() -> new Config(0, 2, 2, 1e-3, 2, 1, 0, 0, DType.F32))
                .hasMessageContaining("beta is 2.0; choose 0 to 1");
    }
}
