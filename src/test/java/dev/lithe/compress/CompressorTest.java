package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// A compressed folder from end to end: what it holds, that it runs, and that nothing is left when
/// it cannot be made.
class CompressorTest {
    private static final JsonMapper JSON = new JsonMapper();
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int LENGTH = 24;

    @TempDir private Path folder;

    private Path compress(Path source, Recipe recipe, String name) {
        try (var checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(recipe, checkpoint);
            Path made =
                    new Compressor(plan, checkpoint, (done, total, module) -> {})
                            .run(folder.resolve(name), false);
            try (var result = Checkpoint.open(made)) {
                assertThat(result.tensorBytes()).isEqualTo(plan.bytes());
            }
            return made;
        }
    }

    private static Recipe inline(String... stages) {
        return RecipeParser.inline(List.of(stages));
    }

    private static JsonNode json(Path file) throws IOException {
        return JSON.readTree(Files.readAllBytes(file));
    }

    @Test
    void theFolderTellsWhatWasDone() throws Exception {
        Path source = TinyModel.small().tied().write(folder.resolve("source"));
        Files.writeString(source.resolve("tokenizer_config.json"), "{}");
        Files.writeString(source.resolve("LICENSE"), "free");
        Files.writeString(source.resolve("modeling_tiny.py"), "no");
        Files.writeString(source.resolve("evaluation.txt"), "no");
        Recipe recipe = RecipeParser.named("int4");
        Path made = compress(source, recipe, "made");
        try (var files = Files.list(made)) {
            assertThat(files.map(file -> file.getFileName().toString()))
                    .containsExactlyInAnyOrder(
                            "config.json",
                            "model.safetensors",
                            "tokenizer.json",
                            "tokenizer_config.json",
                            "LICENSE",
                            "lithe.json");
        }
        for (String kept : List.of("tokenizer.json", "tokenizer_config.json", "LICENSE")) {
            assertThat(made.resolve(kept)).hasSameBinaryContentAs(source.resolve(kept));
        }
        JsonNode lithe = json(made.resolve("lithe.json"));
        assertThat(lithe.path("schema").asText()).isEqualTo("lithe.model/v1");
        assertThat(lithe.path("recipe")).isEqualTo(JSON.readTree(recipe.toJson().toString()));
        assertThat(lithe.path("source").path("name").asText()).isEqualTo("source");
        assertThat(lithe.path("source").path("sha256").path("model.safetensors").asText())
                .isEqualTo(sha256(source.resolve("model.safetensors")));
        assertThat(lithe.path("linears").size()).as("with the embedding").isEqualTo(15);
        assertThat(lithe.path("linears").path("model.layers.1.mlp.gate_proj").asText())
                .isEqualTo("int4 group 32");
        assertThat(lithe.path("linears").path("model.layers.1.mlp.down_proj").asText())
                .isEqualTo("int8 per channel");
    }

    private static String sha256(Path file) throws IOException, NoSuchAlgorithmException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
        return HexFormat.of().formatHex(digest);
    }

    @Test
    void theConfigurationIsTrueToTheWeights() throws IOException {
        TinyModel model = TinyModel.small().tied();
        ObjectNode config = model.config().put("of_its_own", 7);
        Path source = model.write(folder.resolve("source"), config, model.tensors());
        JsonNode made =
                json(compress(source, RecipeParser.named("int8"), "int8").resolve("config.json"));
        JsonNode quantization = made.path("quantization_config");
        assertThat(made.path("torch_dtype").asText()).isEqualTo("float16");
        assertThat(made.path("of_its_own").asInt()).isEqualTo(7);
        assertThat(quantization.path("quant_method").asText()).isEqualTo("compressed-tensors");
        assertThat(quantization.path("format").asText()).isEqualTo("int-quantized");
        assertThat(quantization.path("ignore").toString()).isEqualTo("[\"lm_head\"]");
        JsonNode group = quantization.path("config_groups").path("group_0");
        assertThat(group.path("targets").toString()).isEqualTo("[\"Linear\"]");
        assertThat(group.path("weights").path("num_bits").asInt()).isEqualTo(8);
        assertThat(group.path("weights").path("strategy").asText()).isEqualTo("channel");
        assertThat(group.path("input_activations").path("dynamic").asBoolean()).isTrue();

        JsonNode dense =
                json(compress(source, inline("cast:dtype=bfloat16"), "b").resolve("config.json"));
        assertThat(dense.path("torch_dtype").asText()).isEqualTo("bfloat16");
        assertThat(dense.has("quantization_config")).isFalse();

        JsonNode mixed =
                json(compress(source, inline("rtn:ignore=[q_proj]"), "mixed")
                                .resolve("config.json"))
                        .path("quantization_config");
        assertThat(mixed.path("ignore").toString())
                .isEqualTo(
                        "[\"model.layers.0.self_attn.q_proj\",\"model.layers.1.self_attn.q_proj\",\"lm_head\"]");
        assertThat(mixed.path("config_groups").size()).as("groups of 32, and int8").isEqualTo(2);
    }

    @Test
    void theNewerNameOfTheTypeIsKept() throws IOException {
        TinyModel model = TinyModel.small();
        ObjectNode config = model.config();
        config.remove("torch_dtype");
        config.put("dtype", "float32");
        Path source = model.write(folder.resolve("source"), config, model.tensors());
        JsonNode made = json(compress(source, inline("cast"), "made").resolve("config.json"));
        assertThat(made.path("dtype").asText()).isEqualTo("float16");
        assertThat(made.has("torch_dtype")).isFalse();
    }

    @Test
    void castKeepsIntegersAndRtnRefusesThem() throws IOException {
        Path source = TinyModel.small().biases().write(folder.resolve("source"));
        Path once = compress(source, RecipeParser.named("int4"), "once");
        Path twice = compress(once, inline("cast:dtype=float32"), "twice");
        assertThat(json(twice.resolve("config.json")).path("quantization_config"))
                .isEqualTo(json(once.resolve("config.json")).path("quantization_config"));
        assertThat(json(twice.resolve("config.json")).path("torch_dtype").asText())
                .isEqualTo("float32");
        ObjectNode expected = (ObjectNode) json(once.resolve("lithe.json")).path("linears");
        expected.put("model.embed_tokens", "float32");
        assertThat(json(twice.resolve("lithe.json")).path("linears")).isEqualTo(expected);
        assertThat(logits(twice)).isEqualTo(logits(once));
        refused(
                () -> compress(once, RecipeParser.named("int8"), "thrice"),
                "already int4 group 32");
        assertThat(folder.resolve("thrice")).doesNotExist();
    }

    static Stream<Arguments> bounds() {
        return Stream.of(
                arguments(inline("cast"), 0.005),
                arguments(inline("cast:dtype=bfloat16"), 0.04),
                arguments(inline("rtn:bits=8,group_size=0"), 0.04),
                arguments(RecipeParser.named("int8"), 0.065),
                arguments(inline("rtn:bits=6,group_size=16"), 0.15),
                arguments(RecipeParser.named("int4"), 0.5),
                arguments(inline("rtn:bits=4,group_size=16,symmetric=false"), 0.5),
                arguments(inline("rtn:bits=3,group_size=8,symmetric=false"), 0.7));
    }

    @ParameterizedTest
    @MethodSource("bounds")
    void theResultRunsAndAnswersNearlyTheSame(Recipe recipe, double bound) throws IOException {
        for (TinyModel model :
                List.of(
                        TinyModel.small(),
                        TinyModel.small().tied().biases().seed(2),
                        TinyModel.small().dtype(DType.BF16).vocab(301).shards(3).seed(3))) {
            Path source = Files.createTempDirectory(folder, "source");
            model.write(source);
            Path made = compress(source, recipe, source.getFileName() + "-made");
            assertThat(distance(logits(source), logits(made))).isLessThan(bound);
        }
    }

    @Test
    void theDemoComesOutSmallAndClose() {
        Path made = compress(DEMO, RecipeParser.named("int4"), "demo-int4");
        assertThat(distance(logits(DEMO), logits(made))).isLessThan(0.15);
        assertThat(made.resolve("model.safetensors").toFile().length())
                .isLessThan(DEMO.resolve("model.safetensors").toFile().length() * 45 / 100);
    }

    private static float[] logits(Path model) {
        try (Decoder decoder = Decoder.open(model);
                var scope = TensorScope.open()) {
            int vocab = decoder.spec().vocabSize();
            long[] ids = new Random(12).longs(LENGTH, 0, vocab).toArray();
            var cache = decoder.newCache(1, LENGTH, scope);
            return decoder.forward(scope.tensor(ids, 1, LENGTH), 0, cache, true, scope).floats();
        }
    }

    private static double distance(float[] expected, float[] actual) {
        double error = 0;
        double size = 0;
        for (int i = 0; i < expected.length; i++) {
            error += (expected[i] - actual[i]) * (double) (expected[i] - actual[i]);
            size += expected[i] * (double) expected[i];
        }
        return Math.sqrt(error / size);
    }

    @Test
    void twoRunsWriteTheSameBytes() throws IOException {
        Path source = TinyModel.small().biases().shards(2).write(folder.resolve("source"));
        Path first = compress(source, RecipeParser.named("int4"), "first");
        Path second = compress(source, RecipeParser.named("int4"), "second");
        for (String file : List.of("model.safetensors", "config.json", "lithe.json")) {
            assertThat(first.resolve(file)).hasSameBinaryContentAs(second.resolve(file));
        }
        assertThat(json(first.resolve("lithe.json")).path("source").path("sha256").size())
                .isEqualTo(2);
    }

    @Test
    void progressEndsAtTheTotal() throws IOException {
        Path source = TinyModel.small().write(folder.resolve("source"));
        List<Long> heard = new ArrayList<>();
        try (var checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(inline("cast"), checkpoint);
            new Compressor(
                            plan,
                            checkpoint,
                            (done, total, module) -> {
                                heard.add(done);
                                heard.add(total);
                            })
                    .run(folder.resolve("made"), false);
            assertThat(heard).hasSize(2 * plan.linears().size());
        }
        assertThat(heard.getLast()).isEqualTo(heard.get(heard.size() - 2));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "model.embed_tokens.weight",
                "model.layers.0.self_attn.v_proj.weight",
                "model.layers.1.mlp.down_proj.bias",
                "model.layers.1.input_layernorm.weight",
                "lm_head.weight"
            })
    void aBrokenTensorIsNamedAndNothingIsLeft(String name) throws IOException {
        for (float value : new float[] {Float.NaN, Float.NEGATIVE_INFINITY}) {
            TinyModel model = TinyModel.small().biases();
            Map<String, RawTensor> tensors = model.tensors();
            ByteBuffer bytes = ByteBuffer.wrap(tensors.get(name).bytes());
            bytes.order(ByteOrder.LITTLE_ENDIAN).putFloat(20, value);
            Path source = model.write(folder.resolve("source"), model.config(), tensors);
            for (Recipe recipe :
                    List.of(RecipeParser.named("int4"), inline("rtn"), inline("cast"))) {
                refused(
                        () -> compress(source, recipe, "made"),
                        "'" + name + "' holds NaN or infinite values");
                onlyTheSourceIsLeft();
            }
        }
    }

    private void onlyTheSourceIsLeft() throws IOException {
        try (var files = Files.list(folder)) {
            assertThat(files).containsExactly(folder.resolve("source"));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "model.embed_tokens.weight",
                "model.layers.0.self_attn.v_proj.weight",
                "model.layers.1.mlp.down_proj.bias",
                "model.norm.weight"
            })
    void aTensorThatTheTypeCannotHoldIsNamed(String name) throws IOException {
        TinyModel model = TinyModel.small().biases();
        Map<String, RawTensor> tensors = model.tensors();
        ByteBuffer bytes = ByteBuffer.wrap(tensors.get(name).bytes());
        bytes.order(ByteOrder.LITTLE_ENDIAN).putFloat(20, -1e6f);
        Path source = model.write(folder.resolve("source"), model.config(), tensors);
        refused(
                () -> compress(source, inline("cast"), "made"),
                name.replaceFirst("(proj|tokens)\\.weight", "$1"),
                "float16",
                "choose bfloat16");
        onlyTheSourceIsLeft();
        assertThat(compress(source, inline("cast:dtype=bfloat16"), "made")).isDirectory();
    }

    @Test
    void theModelItselfIsNoOutput() throws IOException {
        Path source = TinyModel.small().write(folder.resolve("source"));
        Path made = compress(source, inline("cast"), "made");
        Path link = Files.createSymbolicLink(folder.resolve("link"), made);
        for (Path output : List.of(made, link)) {
            try (var checkpoint = Checkpoint.open(made)) {
                Plan plan = Plan.of(inline("rtn"), checkpoint);
                var compressor = new Compressor(plan, checkpoint, (done, total, module) -> {});
                refused(() -> compressor.run(output, true), "is the model to compress");
            }
        }
        assertThat(logits(made)).isNotEmpty();
    }

    /// The weights are a hole in a file: so large a model needs no disk, but its copy would.
    @Test
    void aDiskThatIsTooSmallIsFoundOutBeforeAnything() throws IOException {
        long vocab = 1 << 20;
        long hidden = 1 << 18;
        TinyModel model = TinyModel.small().width(1 << 18, 8).heads(2, 2, 2).layers(1).tied();
        ObjectNode config = model.config().put("vocab_size", vocab);
        Path source = Files.createDirectories(folder.resolve("source"));
        Files.writeString(source.resolve("config.json"), config.toString());
        Files.writeString(source.resolve("tokenizer.json"), "{}");
        long needed = hole(source.resolve("model.safetensors"), vocab, hidden);
        assumeTrue(Files.getFileStore(folder).getUsableSpace() < needed, "a small enough disk");
        refused(
                () -> compress(source, inline("cast"), "made"),
                "MB free",
                "choose another --output");
        onlyTheSourceIsLeft();
    }

    private static long hole(Path file, long vocab, long hidden) throws IOException {
        ObjectNode header = JSON.createObjectNode();
        long offset = add(header, "model.embed_tokens.weight", 0, vocab, hidden);
        String block = "model.layers.0.";
        for (String part : List.of("q", "k", "v")) {
            offset = add(header, block + "self_attn." + part + "_proj.weight", offset, 4, hidden);
        }
        offset = add(header, block + "self_attn.o_proj.weight", offset, hidden, 4);
        offset = add(header, block + "mlp.gate_proj.weight", offset, 8, hidden);
        offset = add(header, block + "mlp.up_proj.weight", offset, 8, hidden);
        offset = add(header, block + "mlp.down_proj.weight", offset, hidden, 8);
        offset = add(header, block + "input_layernorm.weight", offset, hidden);
        offset = add(header, block + "post_attention_layernorm.weight", offset, hidden);
        offset = add(header, "model.norm.weight", offset, hidden);
        byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
        try (var out = new RandomAccessFile(file.toFile(), "rw")) {
            out.writeLong(Long.reverseBytes(json.length));
            out.write(json);
            out.setLength(8 + json.length + offset);
        }
        return offset;
    }

    private static long add(ObjectNode header, String name, long offset, long... shape) {
        ObjectNode node = header.putObject(name).put("dtype", "F16");
        long bytes = 2;
        for (long size : shape) {
            node.withArray("shape").add(size);
            bytes *= size;
        }
        node.putArray("data_offsets").add(offset).add(offset + bytes);
        return offset + bytes;
    }

    private static void refused(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(
                        LitheException.class,
                        e -> {
                            assertThat(e.fault()).as(e.getMessage()).isEqualTo(Fault.BAD_INPUT);
                            assertThat(e.getMessage()).hasLineCount(1).contains(List.of(parts));
                        });
    }
}
