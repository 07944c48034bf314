package dev.lithe.technique.reshape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.BlockStack.Parts;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.DepthPrune.Config;
import dev.lithe.technique.reshape.DepthPrune.Criterion;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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
                                .map(criterion -> new Config(2, Parts.BLOCKS, criterion, 4, 0)),
                        Stream.of(
                                new Config(3, Parts.BLOCKS, Criterion.EVOLUTION, 4, 0),
                                new Config(2, Parts.ATTENTION, Criterion.EVOLUTION, 4, 0),
                                new Config(4, Parts.MLP, Criterion.PERPLEXITY, 4, 0),
                                new Config(7, Parts.ANY, Criterion.BLOCK_INFLUENCE, 4, 0)))
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
            clear(tensors, block, "self_attn.o_proj");
            clear(tensors, block, "mlp.down_proj");
        }
        ObjectNode config = model.config();
        config.putArray("layer_types").add("a").add("b").add("c").add("d");
        model.write(folder, config, tensors);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = depthPrune.apply(before, new Config(2, Parts.BLOCKS, criterion, 4, 0))) {
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

    private static void clear(Map<String, RawTensor> tensors, int block, String name) {
        tensors.computeIfPresent(
                "model.layers." + block + "." + name + ".weight",
                (_, weight) ->
                        RawTensor.of(
                                DType.F32,
                                new float[weight.floats().length],
                                weight.shape().stream().mapToLong(n -> n).toArray()));
    }

    /// The attention of block 2 and the feed-forward parts of 0 and 2 add nothing, and go.
    @ParameterizedTest
    @CsvSource({
        "ATTENTION, 1, BLOCK_INFLUENCE, [2], []",
        "ATTENTION, 1, EVOLUTION, [2], []",
        "MLP, 2, BLOCK_INFLUENCE, [], '[0, 2]'",
        "MLP, 2, EVOLUTION, [], '[0, 2]'",
        "ANY, 3, BLOCK_INFLUENCE, [2], '[0, 2]'",
        "ANY, 3, EVOLUTION, [2], '[0, 2]'"
    })
    void findsThePartsThatDoNothing(
            Parts parts,
            int remove,
            Criterion criterion,
            String attention,
            String mlps,
            @TempDir Path folder)
            throws IOException {
        Map<String, RawTensor> tensors = model().tensors();
        clear(tensors, 2, "self_attn.o_proj");
        clear(tensors, 0, "mlp.down_proj");
        clear(tensors, 2, "mlp.down_proj");
        model().write(folder, model().config(), tensors);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = depthPrune.apply(before, new Config(remove, parts, criterion, 4, 0));
                var whole = new BlockStack(before, windows(300));
                var rest = new BlockStack(made, windows(300))) {
            assertThat(made.spec().sublayers().noAttention()).hasToString(attention);
            assertThat(made.spec().sublayers().noMlp()).hasToString(mlps);
            assertThat(rest.without(rest.everything()).loss())
                    .isCloseTo(whole.without(whole.everything()).loss(), within(1e-6));
        }
    }

    /// What a stack answers without parts is what a model answers in which they add nothing.
    @Test
    void leavingAPartOutIsLikeZeros(@TempDir Path folder) throws IOException {
        Map<String, RawTensor> tensors = model().tensors();
        model().write(folder.resolve("whole"));
        clear(tensors, 1, "self_attn.o_proj");
        clear(tensors, 3, "mlp.down_proj");
        model().write(folder.resolve("zeros"), model().config(), tensors);
        try (var source = Checkpoint.open(folder.resolve("whole"));
                var before = WholeModel.open(source, windows(300));
                var stack = new BlockStack(before, windows(300), Parts.ANY);
                var zeros = Checkpoint.open(folder.resolve("zeros"));
                var cleared = WholeModel.open(zeros, windows(300));
                var expected = new BlockStack(cleared, windows(300))) {
            BitSet kept = stack.everything();
            kept.clear(2);
            kept.clear(7);
            assertThat(stack.without(kept).loss())
                    .isCloseTo(expected.without(expected.everything()).loss(), within(1e-6));
            assertThat(stack.allows(kept)).isTrue();
            IntStream.of(0, 4, 6).forEach(kept::clear);
            assertThat(stack.allows(kept)).isFalse();
        }
    }

    /// The part whose loss leaves the text likeliest goes, as all choices tried say.
    @Test
    void theCheapestPartGoesFirst(@TempDir Path folder) throws IOException {
        model().write(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var stack = new BlockStack(before, windows(300), Parts.ANY);
                var made =
                        depthPrune.apply(
                                before, new Config(1, Parts.ANY, Criterion.PERPLEXITY, 99, 0));
                var rest = new BlockStack(made, windows(300))) {
            double least = Double.POSITIVE_INFINITY;
            for (int unit = 0; unit < 8; unit++) {
                BitSet kept = stack.everything();
                kept.clear(unit);
                least = Math.min(least, stack.without(kept).loss());
            }
            assertThat(rest.without(rest.everything()).loss()).isCloseTo(least, within(1e-6));
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"BLOCK_INFLUENCE", "PERPLEXITY", "EVOLUTION"})
    void oneAttentionStays(Criterion criterion, @TempDir Path folder) throws IOException {
        model().write(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = depthPrune.apply(before, new Config(7, Parts.ANY, criterion, 2, 0));
                var shallow =
                        depthPrune.apply(made, new Config(3, Parts.BLOCKS, criterion, 2, 0))) {
            assertThat(made.spec().sublayers().noAttention()).hasSize(3);
            assertThat(made.spec().sublayers().noMlp()).hasSize(4);
            assertThat(shallow.spec().layers()).isEqualTo(1);
            assertThat(shallow.spec().sublayers().attends(0)).isTrue();
            assertThat(shallow.spec().sublayers().feeds(0)).isFalse();
        }
    }

    @Test
    void moreThanThereIsCannotGo() {
        refused(4, Parts.ATTENTION, "4 attention and 4 feed-forward parts; at most 3 can go");
        refused(5, Parts.MLP, "at most 4 can go with parts: mlp");
        refused(8, Parts.ANY, "at most 7 can go with parts: any");
        assertThatThrownBy(() -> new Config(1, Parts.MLP, Criterion.ANGULAR, 4, 0))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("criterion angular finds blocks side by side");
        var weights = new LinearForm.Shared(new LinearForm.Dense(DType.F32), "another");
        for (Parts parts : Parts.values()) {
            var config = new Config(1, parts, Criterion.EVOLUTION, 4, 0);
            assertThatThrownBy(() -> depthPrune.outcome(weights, config))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("share weights");
        }
    }

    private void refused(int remove, Parts parts, String reason) {
        ObjectNode config = model().config();
        assertThatThrownBy(() ->
                        depthPrune.configure(
                                config, new Config(remove, parts, Criterion.PERPLEXITY, 4, 0)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
    }

    /// The plan knows how many parts go, and of any kind that the result is no larger.
    @ParameterizedTest
    @CsvSource({"ATTENTION, 2", "MLP, 3", "ANY, 3"})
    void theResultIsNoLargerThanPlanned(Parts parts, int remove, @TempDir Path folder)
            throws IOException {
        model().write(folder);
        var config = new Config(remove, parts, Criterion.BLOCK_INFLUENCE, 4, 0);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = depthPrune.apply(before, config)) {
            ObjectNode planned = before.config();
            depthPrune.configure(planned, config);
            long promised = ModelSpec.of(planned, "plan").parameters();
            assertThat(made.spec().parameters()).isLessThanOrEqualTo(promised);
            if (parts != Parts.ANY) {
                assertThat(made.spec().parameters()).isEqualTo(promised);
            }
        }
    }

    @Test
    void oneBlockHasToStay() {
        ObjectNode model = model().config();
        assertThatThrownBy(() ->
                        depthPrune.configure(
                                model, new Config(4, Parts.BLOCKS, Criterion.PERPLEXITY, 4, 0)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("remove is 4, and the model has 4 blocks");
        assertThatThrownBy(() -> new Config(0, Parts.BLOCKS, Criterion.PERPLEXITY, 4, 0))
                .hasMessageContaining("at least 1");
    }
}
