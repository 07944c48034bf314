package dev.lithe.technique.reshape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.DepthPrune.Config;
import dev.lithe.technique.reshape.DepthPrune.Criterion;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DepthPruneTest extends ModelTechniqueContract<Config> {
    private final DepthPrune depthPrune = new DepthPrune();

    @Override
    protected ModelTechnique<Config> technique() {
        return depthPrune;
    }

    @Override
    protected List<Config> configurations() {
        return Stream.concat(
                        Arrays.stream(Criterion.values())
                                .map(criterion -> new Config(2, criterion, 4, 0)),
                        Stream.of(new Config(3, Criterion.EVOLUTION, 4, 0)))
                .toList();
    }

    /// Blocks 1 and 2 add nothing to the stream, so every criterion finds them, and the model
    /// without them is the same.
    @ParameterizedTest
    @EnumSource(Criterion.class)
    void findsTheBlocksThatDoNothing(Criterion criterion, @TempDir Path folder) throws IOException {
        TinyModel model = model();
        Map<String, RawTensor> tensors = model.tensors();
        for (int block = 1; block <= 2; block++) {
            for (String name : List.of("self_attn.o_proj", "mlp.down_proj")) {
                tensors.computeIfPresent(
                        "model.layers." + block + "." + name + ".weight",
                        (_, weight) ->
                                RawTensor.of(
                                        DType.F32,
                                        new float[weight.floats().length],
                                        weight.shape().stream().mapToLong(n -> n).toArray()));
            }
        }
        ObjectNode config = model.config();
        config.putArray("layer_types").add("a").add("b").add("c").add("d");
        model.write(folder, config, tensors);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = depthPrune.apply(before, new Config(2, criterion, 4, 0))) {
            assertThat(made.config().path("layer_types").toString()).isEqualTo("[\"a\",\"d\"]");
            for (int i = 0; i < 2; i++) {
                LinearName from = before.blocks().get(3 * i).part().linears().getFirst();
                LinearName to = made.blocks().get(i).part().linears().getFirst();
                assertThat(to.block()).isEqualTo(i);
                assertThat(made.blocks().get(i).linear(to).tensors().get("weight").floats())
                        .isEqualTo(
                                before.blocks()
                                        .get(3 * i)
                                        .linear(from)
                                        .tensors()
                                        .get("weight")
                                        .floats());
            }
        }
    }

    @Test
    void oneBlockHasToStay() {
        ObjectNode model = model().config();
        assertThatThrownBy(() ->
                        depthPrune.configure(model, new Config(4, Criterion.PERPLEXITY, 4, 0)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("remove is 4, and the model has 4 blocks");
        assertThatThrownBy(() -> new Config(0, Criterion.PERPLEXITY, 4, 0))
                .hasMessageContaining("at least 1");
    }
}
