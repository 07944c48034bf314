package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.TinyModel;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// What every architecture must do: compute what [NaiveDecoder] does by libtorch and by every set
/// of instructions, a token at a time and many; calibrate on the same numbers; and take every
/// technique, or have it refused with a reason.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class ArchitectureContract {
    private static final int CONTEXT = 24;

    /// Techniques left out here: made of others, about the vocabulary or a task, or of another
    /// model than the one before.
    private static final List<String> OTHERS =
            List.of("bit_allocation", "vocab_trim", "specialize", "train", "merge_adapter");

    /// Stages that a model of three blocks of width 32 takes; at least one for each technique.
    private static final List<String> STAGES =
            List.of(
                    "cast:dtype=bfloat16",
                    "rtn:bits=4,group_size=8",
                    "rtn:bits=8,group_size=0,activations=dynamic",
                    "gptq:bits=4,group_size=8",
                    "awq:bits=4,group_size=8",
                    "autoround:bits=4,group_size=8,iterations=2",
                    "hqq:bits=4,group_size=8",
                    "nf4:group_size=16",
                    "fp8",
                    "codebook:bits=3,iterations=2",
                    "smoothquant",
                    "rotate",
                    "magnitude",
                    "wanda",
                    "sparsegpt",
                    "svd:remove=0.3",
                    "basis_sharing:remove=0.2",
                    "share_layers:blocks=2",
                    "tie_embeddings:samples=2",
                    "width_prune:multiple_of=8",
                    "width_prune:heads=0.5,ffn=0,compensate=false",
                    "gqa:kv_heads=1",
                    "gqa:kv_heads=1,pool=mean",
                    "slice:multiple_of=8",
                    "slice:remove=0",
                    "moefy:width=8,samples=2",
                    "depth_prune:remove=1,samples=2",
                    "depth_prune:remove=1,parts=attention,criterion=perplexity,samples=2",
                    "depth_prune:remove=1,parts=mlp,criterion=block_influence,samples=2",
                    "depth_prune:remove=2,parts=any,samples=2",
                    "heal:steps=2,rank=2,batch=2",
                    "block_heal:steps=2,rank=2,batch=2",
                    "distill:layers=2,steps=2,batch=2",
                    "activation_sparsity:sparsity=0.3,samples=2",
                    "kv_cache:keys=8,values=8",
                    "sparse_attention:sinks=2,window=9",
                    "page_attention:page=4,pages=2,dense=0",
                    "sparse_attention:sinks=2,heavy=1,window=9,context=16");

    /// How far logits may be off, relative to the largest, after a stage that loses little.
    private static final Map<String, Double> CLOSE =
            Map.of(
                    "cast:dtype=bfloat16", 0.1,
                    "rtn:bits=8,group_size=0,activations=dynamic", 0.2,
                    "smoothquant", 0.2, // rounds to 8 bits after it scaled
                    "rotate", 1e-3,
                    "slice:remove=0", 1e-3,
                    "heal:steps=2,rank=2,batch=2", 0.2,
                    "kv_cache:keys=8,values=8", 0.1);

    @TempDir private Path temporary;

    /// The architecture under test, as [TinyModel#of] takes it.
    abstract String modelType();

    /// Stages of [#STAGES] that it cannot take, with a part of the reason.
    abstract Map<String, String> refused();

    TinyModel model() {
        return TinyModel.of(modelType()).layers(3);
    }

    static Stream<Optional<Instructions>> instructions() {
        return Stream.concat(
                Stream.of(Optional.empty()), NativeLibrary.runnable().stream().map(Optional::of));
    }

    @ParameterizedTest
    @MethodSource("instructions")
    void computesWhatTheNaivePassDoes(Optional<Instructions> instructions) throws IOException {
        TinyModel model = model();
        try (Decoder decoder = Decoder.open(model.write(temporary.resolve("run")), instructions)) {
            AgainstNaive.check(decoder, model);
        }
    }

    /// The attention kernels of the library see positions in blocks, which a short window leaves.
    @ParameterizedTest
    @MethodSource("instructions")
    void computesTheSameInALongContext(Optional<Instructions> instructions) throws IOException {
        TinyModel model = model().positions(512).window(130);
        int[] ids = new Random(3).ints(300, 0, 300).toArray();
        double[][] expected = Naive.of(model).logits(ids);
        try (Decoder decoder = Decoder.open(model.write(temporary.resolve("long")), instructions)) {
            AgainstNaive.chunks(decoder, ids, expected, 120, 121, 290, 291, 292, 300);
        }
    }

    @Test
    void calibratesOnTheSameNumbers() throws IOException {
        AgainstNaive.calibrates(model(), temporary.resolve("stack"), windows());
    }

    @Test
    void everyTechniqueIsAmongTheStages() {
        assertThat(STAGES.stream().map(stage -> stage.replaceFirst(":.*", "")).distinct())
                .containsExactlyInAnyOrderElementsOf(
                        Technique.all().stream()
                                .map(Technique::name)
                                .filter(name -> !OTHERS.contains(name))
                                .toList());
        assertThat(STAGES).containsAll(refused().keySet());
    }

    static List<String> stages() {
        return STAGES;
    }

    @ParameterizedTest
    @MethodSource("stages")
    void takesTheTechniqueOrSaysWhyNot(String stage) throws IOException {
        Path folder = model().write(temporary.resolve("model"));
        Path output = temporary.resolve("out-" + STAGES.indexOf(stage));
        @Nullable String reason = refused().get(stage);
        try (Checkpoint source = Checkpoint.open(folder)) {
            var recipe = RecipeParser.inline(List.of(stage));
            if (reason != null) {
                assertThatThrownBy(() -> Pipeline.plan(recipe, source))
                        .isInstanceOf(LitheException.class)
                        .hasMessageContaining(reason);
                return;
            }
            compress(source, stage, output);
        }
        float[] before = logits(folder);
        float[] after = logits(output);
        double largest = 0;
        double off = 0;
        for (int i = 0; i < before.length; i++) {
            assertThat(after[i]).isFinite();
            largest = Math.max(largest, Math.abs(before[i]));
            off = Math.max(off, Math.abs(after[i] - before[i]));
        }
        assertThat(off / largest).isLessThan(CLOSE.getOrDefault(stage, 3.0));
    }

    static void compress(Checkpoint source, String stage, Path output) {
        compress(source, List.of(stage), output);
    }

    static void compress(Checkpoint source, List<String> stages, Path output) {
        var recipe = RecipeParser.inline(stages);
        new Pipeline(recipe, source, (_, _) -> windows(), new Quiet()).run(output, false);
    }

    static float[] logits(Path folder) {
        int[] ids = new Random(8).ints(20, 0, 300).toArray();
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, ids.length, scope);
            return decoder.forward(AgainstNaive.ids(scope, ids), 0, cache, true, scope).floats();
        }
    }

    private static CalibrationSet windows() {
        var random = new Random(5);
        List<long[]> windows = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            windows.add(random.longs(CONTEXT, 0, 300).toArray());
        }
        return new CalibrationSet(new TextFile("none", "", ""), windows.toArray(long[][]::new), 5);
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
