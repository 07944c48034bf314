package dev.lithe.technique.sparsify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.model.Decoder;
import dev.lithe.model.Experts;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.WidthPrune;
import dev.lithe.technique.sparsify.Moefy.Config;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MoefyTest extends ModelTechniqueContract<Config> {
    @TempDir private Path temporary;

    @Override
    protected ModelTechnique<Config> technique() {
        return new Moefy();
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(0.5, 16, 4, 0), new Config(0.3, 8, 2, 1));
    }

    private Path made(Path model, String... stages) throws IOException {
        Path output = temporary.resolve("made" + stages.length);
        try (Checkpoint source = Checkpoint.open(model)) {
            var recipe = RecipeParser.inline(List.of(stages));
            new Pipeline(recipe, source, (_, _) -> windows(300), new Quiet()).run(output, true);
        }
        return output;
    }

    private static float[] logits(Path folder) {
        long[] ids = new Random(8).longs(20, 0, 300).toArray();
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            var cache = decoder.newCache(1, ids.length, scope);
            return decoder.forward(scope.tensor(ids, 1, ids.length), 0, cache, true, scope)
                    .floats();
        }
    }

    @Test
    void withAllExpertsNothingChanges() throws IOException {
        Path model = model().write(temporary.resolve("model"));
        float[] before = logits(model);
        float[] after = logits(made(model, "moefy:active=1,samples=2"));
        for (int i = 0; i < before.length; i++) {
            assertThat(after[i]).isCloseTo(before[i], within(1e-4f));
        }
    }

    /// More experts are nearer to the model as it was.
    @Test
    void losesLessWithMoreExperts() throws IOException {
        Path model = model().write(temporary.resolve("model"));
        double before = Double.MAX_VALUE;
        for (String active : List.of("0.25", "0.5", "0.75")) {
            double off = distance(logits(model), logits(made(model, "moefy:active=" + active)));
            assertThat(off).as(active).isLessThan(before).isPositive();
            before = off;
        }
    }

    private static double distance(float[] x, float[] y) {
        double sum = 0;
        for (int i = 0; i < x.length; i++) {
            sum += Math.pow(x[i] - y[i], 2);
        }
        return sum;
    }

    /// What each makes of the model with experts is near to that model.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "rtn:bits=8,group_size=0,activations=dynamic",
                "rtn:bits=8,group_size=16",
                "gptq:bits=8,group_size=8",
                "awq:bits=8,group_size=8",
                "autoround:bits=8,group_size=8,iterations=2",
                "smoothquant",
                "rotate",
                "slice:remove=0",
                "wanda:sparsity=0.1",
                "activation_sparsity:sparsity=0.05,samples=2",
                "heal:steps=2,rank=2,batch=2,learning_rate=1e-5",
                "heal:steps=2,rank=0,batch=2,learning_rate=1e-5",
                "block_heal:steps=2,rank=2,batch=2,learning_rate=1e-5",
            })
    void goesBefore(String stage) throws IOException {
        Path model = model().write(temporary.resolve("model"));
        float[] before = logits(made(model, "moefy:active=0.75,samples=4"));
        float[] after = logits(made(model, "moefy:active=0.75,samples=4", stage));
        double all = distance(before, new float[before.length]);
        assertThat(after).doesNotContain(Float.NaN);
        assertThat(distance(before, after) / all).isLessThan(0.3);
    }

    /// They change random weights much, and leave the experts in place.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "svd:remove=0.1",
                "basis_sharing:remove=0.1",
                "share_layers:blocks=2,rank=2",
                "depth_prune:remove=1,samples=2",
                "gqa:kv_heads=2"
            })
    void goesBeforeWhatLosesMore(String stage) throws IOException {
        Path model = model().write(temporary.resolve("model"));
        Path made = made(model, "moefy:active=0.75,samples=4", stage);
        assertThat(logits(made)).doesNotContain(Float.NaN);
        try (Checkpoint checkpoint = Checkpoint.open(made)) {
            assertThat(ModelSpec.of(checkpoint.config(), "config.json").experts())
                    .isEqualTo(new Experts(4, 3));
        }
    }

    @Test
    void refusesWhatItCannotDo() {
        for (double active : new double[] {0, -0.1, 1.1, Double.NaN}) {
            assertThatThrownBy(() -> new Config(active, 16, 1, 0))
                    .hasMessageContaining("active is " + active);
        }
        assertThatThrownBy(() -> new Config(0.5, 0, 1, 0)).hasMessageContaining("width is 0");
        assertThatThrownBy(() -> new Config(0.5, 16, 0, 0)).hasMessageContaining("samples is 0");
        ObjectNode config = model().config();
        for (int width : new int[] {24, 64}) {
            assertThatThrownBy(() -> technique().configure(config, new Config(0.5, width, 1, 0)))
                    .hasMessageContaining(
                            "width %d does not divide the model's 64 channels".formatted(width));
        }
        technique().configure(config, new Config(0.01, 16, 1, 0));
        assertThat(config.path("lithe_experts").path("active").asInt()).isEqualTo(1);
        assertThatThrownBy(() -> technique().configure(config, new Config(0.5, 16, 1, 0)))
                .hasMessageContaining("already runs 1 of 4 experts");
        var narrower = new WidthPrune().defaults();
        assertThatThrownBy(() -> new WidthPrune().configure(config, narrower))
                .hasMessageContaining("let moefy go behind width_prune");
        assertThatThrownBy(() -> new Experts(4, 1).requireNone("specialize"))
                .hasMessageContaining("1 of 4 experts");
    }

    private static final class Quiet implements Pipeline.Listener {
        @Override
        public Compressor.Listener begins(
                Pipeline.Leg leg, Checkpoint source, @Nullable CalibrationSet calibration) {
            return (_, _, _) -> {};
        }

        @Override
        public void ended(Pipeline.Leg leg, boolean earlier) {}
    }
}
