package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.SharedFiles;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.GgufType;
import dev.lithe.checkpoint.GgufWriter;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.Decoder;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.KvCache;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Part;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tokenize.ChatTemplate;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/// GGUF files as models: their numbers against those that [RawGguf] reads, and the way back.
class GgufImportTest {
    private static final int HEAD = 32;

    @TempDir private Path temporary;

    private static TinyModel model(String type) {
        return TinyModel.of(type).width(256, 512).heads(8, 2, HEAD).window(1000);
    }

    private Path exported(Path folder, String name) {
        Path file = temporary.resolve(name);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            GgufExport.write(checkpoint, null, file);
        }
        return file;
    }

    /// The same file with random blocks of `type` for every matrix.
    private Path retyped(Path file, GgufType type) throws IOException {
        RawGguf gguf = RawGguf.read(file);
        var writer = new GgufWriter();
        gguf.values().forEach((key, value) -> RawGguf.put(writer, key, value));
        writer.text("general.license", "mit");
        var random = new Random(7);
        gguf.tensors()
                .forEach((name, tensor) -> {
                    long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
                    boolean matrix = shape.length == 2;
                    byte[] bytes =
                            matrix ? blocks(type, tensor.numbers().length, random) : tensor.bytes();
                    writer.tensor(
                            name,
                            matrix ? type : GgufType.F32,
                            shape,
                            channel -> channel.write(ByteBuffer.wrap(bytes)));
                });
        Path target = temporary.resolve(type + ".gguf");
        writer.write(target);
        return target;
    }

    /// Random bytes, but numbers and scales that are finite.
    private static byte[] blocks(GgufType type, int count, Random random) {
        int size = Math.toIntExact(type.bytes(type.block()));
        byte[] bytes = new byte[Math.toIntExact(type.bytes(count))];
        random.nextBytes(bytes);
        var buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int[] halves =
                switch (type) {
                    case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
                    case Q6_K -> new int[] {208};
                    default -> new int[] {0};
                };
        for (int block = 0; block < bytes.length; block += size) {
            for (int at : halves) {
                float number = (float) random.nextGaussian() / 100;
                switch (type) {
                    case F32 -> buffer.putFloat(block, number);
                    case BF16 ->
                            buffer.putShort(
                                    block, (short) (Float.floatToRawIntBits(number) >>> 16));
                    default -> buffer.putShort(block + at, Float.floatToFloat16(number));
                }
            }
        }
        return bytes;
    }

    @ParameterizedTest
    @EnumSource(
            mode = EnumSource.Mode.EXCLUDE,
            names = {"Q2_K", "Q3_K"})
    void everyTypeIsReadAsItSaysAndGoesBackAsItWas(GgufType type) throws IOException {
        Path plain = exported(model("llama").llama3Rope().write(temporary.resolve("m")), "f.gguf");
        Path file = retyped(plain, type);
        RawGguf before = RawGguf.read(file);
        boolean rounded =
                switch (type) {
                    case Q4_1, Q5_1, Q4_K, Q5_K -> true;
                    default -> false;
                };
        Path folder = ModelSource.folder(file.toString());
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var scope = TensorScope.open()) {
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            var reader = new LinearReader(checkpoint);
            reader.checkAll(spec);
            for (Part part : Architecture.parts(spec)) {
                for (LinearName name : part.linears()) {
                    float[] found = DenseWeights.of(reader.read(name, scope), scope).floats();
                    float[] expected = expected(before, name, rounded);
                    assertThat(found).hasSameSizeAs(expected);
                    for (int i = 0; i < found.length; i++) {
                        if (found[i] != expected[i]) { // -0 is 0
                            assertThat(found[i]).as(name.module() + i).isEqualTo(expected[i]);
                        }
                    }
                }
            }
            assertThat(checkpoint.load("model.norm.weight", scope).floats())
                    .isEqualTo(before.tensors().get("output_norm.weight").numbers());
        }
        RawGguf after = RawGguf.read(exported(folder, "again.gguf"));
        assertThat(after.tensors().keySet())
                .containsExactlyInAnyOrderElementsOf(before.tensors().keySet());
        before.tensors()
                .forEach((name, tensor) -> {
                    assertThat(after.tensors().get(name).type()).isEqualTo(tensor.type());
                    assertThat(after.tensors().get(name).bytes())
                            .as(name)
                            .isEqualTo(tensor.bytes());
                });
        assertThat(after.values()).containsAllEntriesOf(before.values());
        assertThat(before.values())
                .containsEntry("general.name", "m")
                .containsEntry("general.license", "mit");
    }

    /// In Hugging Face's order of rows.
    private static float[] expected(RawGguf gguf, LinearName name, boolean rounded) {
        String block = name.block() < 0 ? "" : "blk." + name.block() + ".";
        String theirs =
                switch (name.module().replaceFirst(".*\\.", "")) {
                    case "embed_tokens" -> "token_embd";
                    case "lm_head" -> "output";
                    case "q_proj" -> "attn_q";
                    case "k_proj" -> "attn_k";
                    case "v_proj" -> "attn_v";
                    case "o_proj" -> "attn_output";
                    case "gate_proj" -> "ffn_gate";
                    case "up_proj" -> "ffn_up";
                    default -> "ffn_down";
                };
        float[] stored = gguf.tensors().get(block + theirs + ".weight").numbers();
        float[] numbers = stored.clone();
        if (theirs.equals("attn_q") || theirs.equals("attn_k")) {
            int k = name.inFeatures();
            for (int row = 0; row < name.outFeatures(); row++) {
                int at = row % HEAD;
                int from = row - at + at % (HEAD / 2) * 2 + at / (HEAD / 2);
                System.arraycopy(stored, from * k, numbers, row * k, k);
            }
        }
        for (int i = 0; rounded && i < numbers.length; i++) {
            numbers[i] = Float.float16ToFloat(Float.floatToFloat16(numbers[i]));
        }
        return numbers;
    }

    @ParameterizedTest
    @CsvSource({"llama", "qwen2", "qwen3"})
    void itIsTheSameModel(String type) throws IOException {
        TinyModel model = model(type);
        if (type.equals("llama")) {
            model.biases().llama3Rope();
        } else {
            model.tied();
        }
        Path source = model.write(temporary.resolve("model"));
        Files.writeString(source.resolve("chat_template.jinja"), "{{ messages[0].content }}!");
        Path folder = ModelSource.folder(exported(source, "model.gguf").toString());
        assertThat(logits(folder)).containsExactly(logits(source), within(2e-4f));
        assertThat(ChatTemplate.source(folder)).contains("{{ messages[0].content }}!");
        try (Tokenizer there = Tokenizer.open(folder);
                Tokenizer here = Tokenizer.open(source)) {
            String text = "Once upon a time,\n it's 12345 <|eos|> caf\u00e9";
            assertThat(there.encode(text, true)).isEqualTo(here.encode(text, true));
            assertThat(there.decode(there.encode(text, false)))
                    .isEqualTo(here.decode(here.encode(text, false)));
        }
    }

    /// llama.cpp's architecture for blocks that differ, there and back.
    @Test
    void blocksMayLackAttention() throws IOException {
        TinyModel model = model("llama").layers(4).without(List.of(1, 2), List.of(2));
        Path source = model.write(temporary.resolve("model"));
        Path file = exported(source, "model.gguf");
        RawGguf gguf = RawGguf.read(file);
        assertThat(gguf.values())
                .containsEntry("general.architecture", "deci")
                .containsEntry("deci.attention.head_count", List.of(8, 0, 0, 8))
                .containsEntry("deci.attention.head_count_kv", List.of(2, 0, 0, 2))
                .containsEntry("deci.feed_forward_length", List.of(512, 512, 0, 512));
        assertThat(gguf.tensors().keySet())
                .noneMatch(name -> name.matches("blk[.](1[.]attn|2[.]).*"))
                .contains("blk.1.ffn_norm.weight", "blk.3.attn_norm.weight");
        Path folder = ModelSource.folder(file.toString());
        assertThat(logits(folder)).containsExactly(logits(source), within(2e-4f));
        assertThat(RawGguf.read(exported(folder, "again.gguf")).values()).isEqualTo(gguf.values());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | 0 | | block 0 has no attention",
                "llama | 1 | 2 | passes over the attention of blocks without",
                "qwen2 | 1 | | architecture 'qwen2' runs both in all blocks"
            })
    void blocksThatLlamaCppTakesForOthersAreRefused(
            String type, int noAttention, @Nullable Integer noMlp, String reason)
            throws IOException {
        List<Integer> mlps = noMlp == null ? List.of() : List.of(noMlp);
        TinyModel model = model(type).layers(3).without(List.of(noAttention), mlps);
        Path source = model.write(temporary.resolve("model"));
        assertThatThrownBy(() -> exported(source, "model.gguf"))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "head_count | 8,8 | block 1 has 8 heads, 0 of keys and values",
                "head_count | 0,8 | block 0 has 0 heads",
                "head_count | 8,4 | deci.attention.head_count is a list of 2",
                "head_count | 8,8,8 | head_count has 3 numbers, and there are 2 blocks",
                "head_count_kv | 2,2 | block 1 has 0 heads, 2 of keys and values"
            })
    void blocksOfOtherShapesAreRefused(String key, String counts, String reason)
            throws IOException {
        Path source =
                model("llama").without(List.of(1), List.of()).write(temporary.resolve("blocks"));
        refused(
                exported(source, "blocks.gguf"),
                values ->
                        values.put(
                                "deci.attention." + key,
                                Stream.of(counts.split(",")).map(Integer::valueOf).toList()),
                reason);
    }

    private static float[] logits(Path folder) {
        int[] ids = new Random(3).ints(19, 2, 300).toArray();
        long[] longs = java.util.Arrays.stream(ids).asLongStream().toArray();
        try (Decoder decoder = Decoder.open(folder);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, ids.length, scope);
            return decoder.forward(scope.tensor(longs, 1, longs.length), 0, cache, true, scope)
                    .floats();
        }
    }

    /// The vocabulary of a real model, made by SentencePiece.
    @Test
    void scoresBecomeMergesAgain() throws IOException {
        Path source = SharedFiles.require("models/stories260K");
        Path folder = ModelSource.folder(exported(source, "stories.gguf").toString());
        String text =
                Files.readString(SharedFiles.require("corpora/tinystories.eval.txt"))
                        .substring(0, 20_000);
        try (Tokenizer there = Tokenizer.open(folder);
                Tokenizer here = Tokenizer.open(source)) {
            assertThat(there.encode(text, true)).isEqualTo(here.encode(text, true));
            assertThat(there.encode("\u2603 </s>x", true))
                    .isEqualTo(here.encode("\u2603 </s>x", true));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "general.architecture | falcon | architecture 'falcon' is none",
                "tokenizer.ggml.pre | bloom | tokenizer.ggml.pre is 'bloom'",
                "tokenizer.ggml.model | t5 | tokenizer.ggml.model is 't5'",
                "llama.rope.scaling.type | longrope | stretched by 'longrope', which Lithe",
                "llama.rope.scaling.type | spiral | stretched by 'spiral', which Lithe",
                "llama.expert_count | 8 | llama.expert_count is 8",
                "llama.rope.dimension_count | 16 | rope.dimension_count is 16, and heads are 32",
                "llama.block_count | 0 | llama.block_count is 0",
                "split.count | 2 | is one of 2 parts"
            })
    void whatLitheDoesNotKnowIsRefused(String key, String value, String reason) throws IOException {
        refused(
                values ->
                        values.put(
                                key,
                                value.matches("\\d+") ? (Object) Integer.valueOf(value) : value),
                reason);
    }

    /// As many blocks as a number can say take neither time nor memory.
    @Test
    @Timeout(60)
    void blocksBeyondAnyModelAreRefusedAtOnce() throws IOException {
        refused(
                values -> {
                    Map<String, Object> all = Map.copyOf(values);
                    all.forEach((key, value) -> {
                        if (key.startsWith("llama.")) {
                            values.put(key.replace("llama.", "deci."), value);
                        }
                    });
                    values.put("general.architecture", "deci");
                    values.put("deci.block_count", Integer.MAX_VALUE);
                },
                "num_hidden_layers");
    }

    private void refused(Consumer<Map<String, Object>> change, String reason) throws IOException {
        refused(exported(model("llama").write(temporary.resolve("m")), "f.gguf"), change, reason);
    }

    private void refused(Path whole, Consumer<Map<String, Object>> change, String reason)
            throws IOException {
        RawGguf gguf = RawGguf.read(whole);
        change.accept(gguf.values());
        var writer = new GgufWriter();
        gguf.values().forEach((key, value) -> RawGguf.put(writer, key, value));
        gguf.tensors()
                .forEach((name, tensor) ->
                        writer.tensor(
                                name,
                                GgufType.F32,
                                tensor.shape().stream().mapToLong(Long::longValue).toArray(),
                                channel -> channel.write(ByteBuffer.wrap(tensor.bytes()))));
        Path file = temporary.resolve("changed.gguf");
        writer.write(file);
        assertThatThrownBy(() -> open(ModelSource.folder(file.toString())))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
    }

    private static void open(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            ModelSpec _ = ModelSpec.of(checkpoint.config(), "config.json");
        }
    }

    @Test
    void aWordThatIsATokenIsTakenWhole() throws IOException {
        Path source = model("llama").write(temporary.resolve("model"));
        var mapper = new JsonMapper();
        Path file = source.resolve("tokenizer.json");
        ObjectNode tokenizer = (ObjectNode) mapper.readTree(file.toFile());
        String pattern =
                "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                        + " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        var parts =
                tokenizer
                        .putObject("pre_tokenizer")
                        .put("type", "Sequence")
                        .putArray("pretokenizers");
        ObjectNode split = parts.addObject().put("type", "Split").put("behavior", "Isolated");
        split.put("invert", false).putObject("pattern").put("Regex", pattern);
        parts.addObject()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", true)
                .put("use_regex", false);
        ((ObjectNode) tokenizer.path("model")).put("ignore_merges", true);
        ((ObjectNode) tokenizer.at("/model/vocab")).remove("<filler299>");
        ((ObjectNode) tokenizer.at("/model/vocab")).put("hello", 299);
        Files.writeString(file, tokenizer.toString());
        Path folder = ModelSource.folder(exported(source, "model.gguf").toString());
        try (Tokenizer there = Tokenizer.open(folder);
                Tokenizer here = Tokenizer.open(source)) {
            assertThat(there.encode("hello", false)).containsExactly(299);
            String text = "hello world 1234567\r\n\n  it's";
            assertThat(there.encode(text, true)).isEqualTo(here.encode(text, true));
        }
    }
}
