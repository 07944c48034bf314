package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.compress.Pipeline;
import dev.lithe.compress.RecipeParser;
import dev.lithe.technique.LayerLists;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// [Sublayers]: a model of which one block is whole, one lacks attention, one the feed-forward part
/// and one both runs, and takes every technique or says why not.
class SublayersTest extends ArchitectureContract {
    private static final List<Integer> NO_ATTENTION = List.of(1, 3);
    private static final List<Integer> NO_MLP = List.of(2, 3);

    @TempDir private Path folder;

    @Override
    String modelType() {
        return "llama";
    }

    @Override
    TinyModel model() {
        return missing(TinyModel.small());
    }

    private static TinyModel missing(TinyModel model) {
        return model.layers(4).without(NO_ATTENTION, NO_MLP);
    }

    @Override
    Map<String, String> refused() {
        return Map.of(
                "share_layers:blocks=2", "parts: blocks",
                "basis_sharing:remove=0.2", "parts: blocks");
    }

    static Stream<Arguments> kinds() {
        Stream<TinyModel> models =
                Stream.of(
                        TinyModel.of("mistral"),
                        TinyModel.of("qwen2"),
                        TinyModel.of("qwen3"),
                        TinyModel.of("phi3"),
                        TinyModel.of("gemma"),
                        TinyModel.of("gemma2"),
                        TinyModel.of("gemma3_text"),
                        TinyModel.small().biases().tied(),
                        TinyModel.small().sinks(2, 9),
                        TinyModel.small().sinks(2, 9).heavy(3, 20),
                        TinyModel.small().pages(4, 2, 0),
                        TinyModel.small().pages(4, 2, 1));
        return models.map(SublayersTest::missing)
                .flatMap(model -> instructions().map(each -> Arguments.of(model, each)));
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void everyKindRuns(TinyModel model, Optional<Instructions> instructions) throws IOException {
        try (Decoder decoder = Decoder.open(model.write(folder), instructions)) {
            AgainstNaive.check(decoder, model);
        }
    }

    /// The first block may be the one that lacks attention, and so may all but the last.
    @ParameterizedTest
    @MethodSource("instructions")
    void onlyTheLastBlockAttends(Optional<Instructions> instructions) throws IOException {
        TinyModel model = TinyModel.small().layers(3).without(List.of(0, 1), List.of(0, 1, 2));
        try (Decoder decoder = Decoder.open(model.write(folder), instructions)) {
            AgainstNaive.check(decoder, model);
        }
    }

    /// Sequences of other lengths side by side, some blocks at a time.
    @ParameterizedTest
    @MethodSource("instructions")
    void severalSequencesPassSomeBlocksAtATime(Optional<Instructions> instructions)
            throws IOException {
        TinyModel model = model();
        int[] ids = new Random(4).ints(18, 0, 300).toArray();
        int[][] texts = {Arrays.copyOfRange(ids, 0, 11), Arrays.copyOfRange(ids, 11, 18)};
        try (Decoder decoder = Decoder.open(model.write(folder), instructions);
                var scope = TensorScope.open()) {
            KvCache first = decoder.newCache(1, 12, scope);
            KvCache second = decoder.newCache(1, 8, scope);
            int[][] starts = {Arrays.copyOf(texts[0], 9), Arrays.copyOf(texts[1], 4)};
            int[][] ends = {{texts[0][9], texts[0][10]}, Arrays.copyOfRange(texts[1], 4, 7)};
            try (var batch = new KvBatch(List.of(first, second))) {
                try (ForwardPass pass = decoder.begin(starts, batch)) {
                    while (!pass.over()) {
                        pass.advance(1);
                    }
                }
                float[] logits = decoder.extend(ends, batch, false, scope).floats();
                for (int i = 0; i < 2; i++) {
                    double[] expected = last(Naive.of(model).logits(texts[i]));
                    for (int j = 0; j < 300; j++) {
                        assertThat((double) logits[300 * i + j])
                                .isCloseTo(expected[j], within(1e-3));
                    }
                }
            }
        }
    }

    private static double[] last(double[][] logits) {
        return logits[logits.length - 1];
    }

    /// Codes of keys and values lie in caches of their own, which no block without attention has.
    @ParameterizedTest
    @CsvSource({"16, 16", "8, 8", "4, 8"})
    void aBlockWithoutAttentionKeepsNothing(int keys, int values) throws IOException {
        TinyModel model = TinyModel.small().heads(4, 2, 16);
        ObjectNode whole = model.layers(4).config();
        ObjectNode config = missing(model).config();
        new KvCacheForm(keys, values).describe(config);
        new KvCacheForm(keys, values).describe(whole);
        try (Decoder decoder = Decoder.open(model.write(folder, config, model.tensors()));
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, 64, scope);
            assertThat(cache.keys().members()).hasSize(2);
            assertThat(cache.bytes()).isEqualTo(decoder.spec().cacheBytes(64));
            assertThat(2 * cache.bytes()).isEqualTo(ModelSpec.of(whole, "").cacheBytes(64));
            float[] once = decoder.next(new int[] {7, 8, 9, 10}, cache);
            KvCache other = decoder.newCache(1, 80, scope);
            float[] before = decoder.next(new int[] {7, 8}, other);
            KvCache copy = decoder.newCache(1, 90, scope);
            decoder.copy(other, 2, copy);
            decoder.next(new int[] {9}, copy);
            float[] again = decoder.next(new int[] {10}, copy);
            for (int i = 0; i < once.length; i++) {
                assertThat(again[i]).isCloseTo(once[i], within(0.2f));
            }
            assertThat(again).isNotEqualTo(before);
        }
    }

    /// What is left can be factorized, trained and quantized, and lose parts and blocks again.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "svd:remove=0.2 heal:steps=2,rank=2,batch=2",
                "heal:steps=2,rank=0,batch=2 gptq:bits=4,group_size=8",
                "train:steps=2,batch=2,layers=3",
                "bit_allocation:average_bits=6,samples=2 rtn",
                "depth_prune:remove=1,parts=mlp,samples=2 depth_prune:remove=2,samples=2 rotate"
            })
    void stagesFollowEachOther(String after) throws IOException {
        List<String> stages = new ArrayList<>(List.of("depth_prune:remove=3,parts=any,samples=2"));
        stages.addAll(List.of(after.split(" ")));
        Path made = folder.resolve("made");
        try (Checkpoint source =
                Checkpoint.open(
                        TinyModel.small().layers(4).width(32, 64).write(folder.resolve("model")))) {
            compress(source, stages, made);
        }
        for (float logit : logits(made)) {
            assertThat(logit).isFinite();
        }
    }

    /// No tensor of what went is written, and the plan knew how many bytes there would be.
    @ParameterizedTest
    @CsvSource({"llama, attention", "llama, mlp", "qwen3, attention", "phi3, mlp"})
    void filesGetSmallerAsPlanned(String type, String parts) throws IOException {
        TinyModel model = TinyModel.of(type).layers(4);
        Path made = folder.resolve("made");
        String stage = "depth_prune:remove=2,criterion=block_influence,parts=" + parts;
        try (Checkpoint source = Checkpoint.open(model.write(folder.resolve("model")))) {
            long planned =
                    Pipeline.plan(RecipeParser.inline(List.of(stage)), source)
                            .getLast()
                            .plan()
                            .bytes();
            compress(source, stage, made);
            try (Checkpoint result = Checkpoint.open(made)) {
                assertThat(result.tensorBytes()).isEqualTo(planned);
                long gone = 0;
                for (String name : source.entries().keySet()) {
                    gone += result.has(name) ? 0 : source.entry(name).elements();
                }
                ModelSpec spec = ModelSpec.of(result.config(), "");
                assertThat(spec.parameters())
                        .isEqualTo(ModelSpec.of(source.config(), "").parameters() - gone);
                assertThat(source.tensorBytes() - planned).isEqualTo(Float.BYTES * gone);
                assertThat(gone).isPositive();
            }
        }
    }

    @Test
    void parametersAndTensorsAreThoseThatAreThere() throws IOException {
        TinyModel model = model();
        ModelSpec spec = ModelSpec.of(model.config(), "config.json");
        long numbers =
                model.tensors().values().stream().mapToLong(tensor -> tensor.floats().length).sum();
        assertThat(spec.parameters()).isEqualTo(numbers);
        assertThat(Architecture.parts(spec).get(4).linears()).isEmpty();
        assertThat(Architecture.parts(spec).get(4).norms()).isEmpty();
        assertThat(spec.sublayers().label(4))
                .isEqualTo("attention in 2 of 4 blocks, feed-forward part in 2");
    }

    @Test
    void whatIsSaidCanBeTakenBack() {
        ObjectNode config = model().config();
        ObjectNode plain = TinyModel.small().layers(4).config();
        ModelSpec spec = ModelSpec.of(config, "config.json");
        Sublayers.ALL.describe(config);
        assertThat(config).isEqualTo(plain);
        spec.sublayers().describe(config);
        assertThat(ModelSpec.of(config, "config.json")).isEqualTo(spec);
        assertThat(config.path("model_type").asText()).isEqualTo("lithe-llama");
        config.remove("architectures");
        assertThat(ModelSpec.of(config, "config.json")).isEqualTo(spec);
    }

    /// A technique that keeps whole blocks only leaves an ordinary model.
    @Test
    void withoutBlocksThatLackPartsItIsAnOrdinaryModel() {
        ObjectNode config = model().config();
        LayerLists.keep(config, 4, List.of(0, 1));
        assertThat(config.path("model_type").asText()).isEqualTo("lithe-llama");
        LayerLists.keep(config, 2, List.of(0));
        assertThat(config.path("model_type").asText()).isEqualTo("llama");
        assertThat(config.has("block_configs")).isFalse();
    }

    /// Whichever block is removed, what the plan promised is what is made.
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void anyBlocksMayGoBehindParts(int lacking) throws IOException {
        Path model =
                TinyModel.small()
                        .layers(4)
                        .without(List.of(), List.of(lacking))
                        .write(folder.resolve("model"));
        for (int remove = 1; remove <= 3; remove++) {
            Path made = folder.resolve("made" + remove);
            try (Checkpoint source = Checkpoint.open(model)) {
                String stage = "depth_prune:criterion=perplexity,samples=2,remove=" + remove;
                compress(source, List.of(stage), made);
            }
            try (Checkpoint result = Checkpoint.open(made)) {
                ModelSpec spec = ModelSpec.of(result.config(), "config.json");
                assertThat(spec.layers()).isEqualTo(4 - remove);
                assertThat(result.config().path("model_type").asText())
                        .isEqualTo(spec.sublayers().any() ? "lithe-llama" : "llama");
            }
        }
    }

    @Test
    void aStageMayTargetWhatIsGone() throws IOException {
        Path made = folder.resolve("made");
        try (Checkpoint source = Checkpoint.open(model().write(folder.resolve("model")))) {
            String gone = "model.layers.1.self_attn.v_proj";
            compress(source, List.of("rtn:bits=4,group_size=16,targets=[" + gone + "]"), made);
            try (Checkpoint result = Checkpoint.open(made)) {
                assertThat(result.tensorBytes()).isEqualTo(source.tensorBytes());
            }
        }
    }

    /// Which parts go is found on the way, so any may be named.
    @ParameterizedTest
    @ValueSource(strings = {"attention", "mlp"})
    void laterStagesMayNameWhatMayBeGone(String parts) throws IOException {
        Path made = folder.resolve("made");
        String prune = "depth_prune:remove=2,criterion=block_influence,samples=2,parts=" + parts;
        try (Checkpoint source =
                Checkpoint.open(TinyModel.small().layers(4).write(folder.resolve("model")))) {
            List<String> named = new ArrayList<>();
            for (int block = 0; block < 4; block++) {
                named.add("model.layers." + block + ".self_attn.v_proj");
                named.add("model.layers." + block + ".mlp.down_proj");
            }
            String rtn = "rtn:bits=4,group_size=16,ignore=[%s]".formatted(String.join(";", named));
            compress(source, List.of(prune, rtn), made);
        }
        try (Checkpoint result = Checkpoint.open(made)) {
            var reader = new LinearReader(result);
            ModelSpec spec = ModelSpec.of(result.config(), "config.json");
            Architecture.linears(spec).stream()
                    .filter(name -> name.block() >= 0)
                    .forEach(name -> {
                        boolean named = name.module().matches(".*(v_proj|down_proj)");
                        assertThat(reader.form(name) instanceof LinearForm.Grouped)
                                .isNotEqualTo(named);
                    });
        }
    }

    @Test
    void listsThatMakeNoSenseAreRefused() {
        ObjectNode numbers = model().config();
        numbers.putArray("block_configs").add(1).add(1).add(1).add(1);
        refused(numbers, "says 1 of block 0; it needs what its attention and ffn are");
        ObjectNode word = model().config();
        ((ObjectNode) word.path("block_configs").path(1)).put("attention", "none");
        refused(word, "says attention \"none\" of block 1");
        ObjectNode mixer = model().config();
        ((ObjectNode) mixer.path("block_configs").path(1)).putNull("parallel_blocks");
        assertThat(ModelSpec.of(mixer, "config.json").sublayers().any()).isTrue();
        ((ObjectNode) mixer.path("block_configs").path(1)).put("mixer", "mamba");
        refused(mixer, "says mixer \"mamba\" of block 1");
        ObjectNode fewer = model().config();
        ((ArrayNode) fewer.path("block_configs")).remove(0);
        refused(fewer, "block_configs has 3 entries, and the model 4 blocks");
        refused(model().config().put("block_configs", 3), "has no entries");
        ObjectNode shapes = model().config();
        ((ObjectNode) shapes.path("block_configs").path(2).path("ffn")).put("ffn_mult", 2.5);
        refused(shapes, "says ffn_mult 2.5 of ffn in block 2; Lithe knows no_op");
        ObjectNode silent = model().config();
        ((ObjectNode) silent.path("block_configs").path(2).path("ffn"))
                .putNull("ffn_mult")
                .put("replace_with_linear", false);
        assertThat(ModelSpec.of(silent, "config.json"))
                .isEqualTo(ModelSpec.of(model().config(), "config.json"));
        refused(
                TinyModel.small().without(List.of(0, 1), List.of()).config(),
                "leaves none of the 2 blocks its attention");
        ObjectNode learned = TinyModel.of("gpt2").config();
        learned.putArray("block_configs")
                .add(fewer.path("block_configs").path(0))
                .add(model().config().path("block_configs").path(0));
        refused(learned, "models with rotary positions only");
    }

    private static void refused(ObjectNode config, String reason) {
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json")).hasMessageContaining(reason);
    }
}
