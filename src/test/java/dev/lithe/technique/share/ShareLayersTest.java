package dev.lithe.technique.share;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.StoredWeights;
import dev.lithe.technique.Weighting;
import dev.lithe.technique.share.ShareLayers.Config;
import dev.lithe.technique.share.ShareLayers.Pattern;
import dev.lithe.technique.share.ShareLayers.Start;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ShareLayersTest extends ModelTechniqueContract<Config> {
    private final ShareLayers shareLayers = new ShareLayers();

    @Override
    protected ModelTechnique<Config> technique() {
        return shareLayers;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(
                new Config(2, 4, Start.STEPWISE, Pattern.CYCLE, Weighting.WHITENED),
                new Config(2, 4, Start.AVERAGE, Pattern.SEQUENCE, Weighting.NONE),
                new Config(1, 0, Start.AVERAGE, Pattern.CYCLE, Weighting.NONE));
    }

    @Test
    void placesTakeTurnsOrStayTogether() {
        Config cycle = new Config(3, 1, Start.STEPWISE, Pattern.CYCLE, Weighting.NONE);
        Config sequence = new Config(3, 1, Start.STEPWISE, Pattern.SEQUENCE, Weighting.NONE);
        assertThat(IntStream.range(0, 6).map(l -> cycle.blockOf(l, 6)))
                .containsExactly(0, 1, 2, 0, 1, 2);
        assertThat(IntStream.range(0, 6).map(l -> sequence.blockOf(l, 6)))
                .containsExactly(0, 0, 1, 1, 2, 2);
        assertThat(IntStream.range(0, 6).map(l -> sequence.owner(l, 6)))
                .containsExactly(0, 0, 2, 2, 4, 4);
        assertThat(IntStream.range(0, 3).map(b -> cycle.source(b, 6))).containsExactly(0, 3, 5);
    }

    /// A correction of full rank gives every place its own weights back.
    @Test
    void fullRankIsTheSameModel(@TempDir Path folder) throws IOException {
        TinyModel model = TinyModel.small().layers(4).width(32, 64).heads(4, 4, 8);
        model.write(folder);
        var config = new Config(2, 32, Start.AVERAGE, Pattern.CYCLE, Weighting.NONE);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = shareLayers.apply(before, config)) {
            for (int i = 0; i < 4; i++) {
                for (var name : made.blocks().get(i).part().linears()) {
                    double[] was = StoredWeights.of(before.blocks().get(i).linear(name));
                    double[] is = StoredWeights.of(made.blocks().get(i).linear(name));
                    for (int j = 0; j < was.length; j++) {
                        assertThat(Math.abs(is[j] - was[j])).as(name.module()).isLessThan(1e-4);
                    }
                }
            }
        }
    }
}
