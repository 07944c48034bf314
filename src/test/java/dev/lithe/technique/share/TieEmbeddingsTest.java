package dev.lithe.technique.share;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.share.TieEmbeddings.Config;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.provider.Arguments;

class TieEmbeddingsTest extends ModelTechniqueContract<Config> {
    private final TieEmbeddings tieEmbeddings = new TieEmbeddings();

    @Override
    protected ModelTechnique<Config> technique() {
        return tieEmbeddings;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(List.of(0.5), 2), new Config(List.of(0.1, 0.9), 2));
    }

    @Override
    protected Stream<Arguments> cases() {
        return super.cases()
                .filter(a ->
                        !(a.get()[0] instanceof TinyModel m
                                && m.config().path("tie_word_embeddings").asBoolean()));
    }

    @Test
    void refusesWhatIsTied() {
        var config = TinyModel.small().tied().config();
        assertThatThrownBy(() -> tieEmbeddings.configure(config, tieEmbeddings.defaults()))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("tied already");
    }
}
