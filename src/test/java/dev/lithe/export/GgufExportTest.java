package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.GgufType;
import dev.lithe.checkpoint.GgufWriter;
import dev.lithe.compress.Compressor;
import dev.lithe.compress.Plan;
import dev.lithe.compress.RecipeParser;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearReader;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/// GGUF files against the models that they were made from, read by [RawGguf].
class GgufExportTest {
    private static final int HEAD = 16;

    @TempDir private Path temporary;

    private static TinyModel model(String type) {
        return TinyModel.of(type).width(64, 96).heads(4, 2, HEAD);
    }

    private RawGguf exported(Path folder, @Nullable GgufType type) throws IOException {
        Path file = temporary.resolve("model.gguf");
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            GgufExport.write(checkpoint, type == null ? null : GgufMix.of(type), file);
        }
        return RawGguf.read(file);
    }

    /// Neighbours of a head in llama.cpp are a coordinate of its first half and one of its second.
    private static float[] reordered(float[] rows, int width) {
        float[] result = new float[rows.length];
        for (int row = 0; row < rows.length / width; row++) {
            int head = row / HEAD;
            int pair = row % HEAD / 2;
            int half = row % 2;
            int from = head * HEAD + half * HEAD / 2 + pair;
            System.arraycopy(rows, from * width, result, row * width, width);
        }
        return result;
    }

    @ParameterizedTest
    @CsvSource({"llama,true", "qwen2,false", "qwen3,false"})
    void floatsGoOverAsTheyAre(String type, boolean turned) throws IOException {
        TinyModel model = model(type).window(1000);
        if (type.equals("llama")) {
            model.biases().llama3Rope();
        }
        Map<String, RawTensor> tensors = model.tensors();
        RawGguf gguf = exported(model.write(temporary.resolve("model")), null);
        assertThat(gguf.values())
                .containsEntry("general.architecture", type)
                .containsEntry(type + ".attention.head_count_kv", 2)
                .containsEntry(type + ".rope.dimension_count", HEAD);
        float[] q = tensors.get("model.layers.1.self_attn.q_proj.weight").floats();
        float[] k = tensors.get("model.layers.1.self_attn.k_proj.weight").floats();
        assertThat(gguf.tensors().get("blk.1.attn_q.weight").numbers())
                .isEqualTo(turned ? reordered(q, 64) : q);
        assertThat(gguf.tensors().get("blk.1.attn_k.weight").numbers())
                .isEqualTo(turned ? reordered(k, 64) : k);
        same(gguf, "blk.0.attn_v.weight", tensors, "model.layers.0.self_attn.v_proj.weight");
        same(gguf, "blk.0.attn_output.weight", tensors, "model.layers.0.self_attn.o_proj.weight");
        same(gguf, "blk.1.ffn_gate.weight", tensors, "model.layers.1.mlp.gate_proj.weight");
        same(gguf, "blk.1.ffn_down.weight", tensors, "model.layers.1.mlp.down_proj.weight");
        same(
                gguf,
                "blk.1.ffn_norm.weight",
                tensors,
                "model.layers.1.post_attention_layernorm.weight");
        same(gguf, "token_embd.weight", tensors, "model.embed_tokens.weight");
        same(gguf, "output.weight", tensors, "lm_head.weight");
        assertThat(gguf.tensors().get("output.weight").shape()).containsExactly(300L, 64L);
        if (type.equals("llama")) {
            float[] bias = tensors.get("model.layers.0.self_attn.q_proj.bias").floats();
            assertThat(gguf.tensors().get("blk.0.attn_q.bias").numbers())
                    .isEqualTo(reordered(bias, 1));
            float[] ratios = gguf.tensors().get("rope_freqs.weight").numbers();
            assertThat(ratios[0]).isEqualTo(1);
            assertThat(ratios[HEAD / 2 - 1]).isCloseTo(8, within(1e-4f));
        }
        if (type.equals("qwen3")) {
            same(
                    gguf,
                    "blk.1.attn_k_norm.weight",
                    tensors,
                    "model.layers.1.self_attn.k_norm.weight");
        }
    }

    private static void same(
            RawGguf gguf, String name, Map<String, RawTensor> tensors, String original) {
        assertThat(gguf.tensors().get(name).numbers())
                .as(name)
                .isEqualTo(tensors.get(original).floats());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rtn:bits=4,group_size=32 | Q4_0",
                "rtn:bits=3,group_size=32 | Q4_0",
                "rtn:bits=4,group_size=32,symmetric=false | Q4_1",
                "rtn:bits=5,group_size=32 | Q5_0",
                "rtn:bits=5,group_size=32,symmetric=false | Q5_1",
                "rtn:bits=8,group_size=32 | Q8_0",
                "rtn:bits=8,group_size=0,activations=dynamic | Q8_0",
                "magnitude | F16",
                "svd:remove=0.3,weighting=none | F16"
            })
    void integersKeepTheirCodes(String stage, GgufType type) throws IOException {
        Path folder = temporary.resolve("small");
        Path source = model("llama").dtype(DType.F16).write(temporary.resolve("model"));
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            Plan plan = Plan.of(RecipeParser.inline(List.of(stage)), checkpoint);
            new Compressor(plan, checkpoint, (_, _, _) -> {}).run(folder, false);
        }
        RawGguf gguf = exported(folder, null);
        assertThat(gguf.values()).containsEntry("general.file_type", type.fileType());
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                var scope = TensorScope.open()) {
            var reader = new LinearReader(checkpoint);
            for (LinearName name : Architecture.linears(ModelSpec.of(checkpoint.config(), ""))) {
                if (!name.module().endsWith("layers.1.self_attn.q_proj")) {
                    continue;
                }
                float[] expected = DenseWeights.of(reader.read(name, scope), scope).floats();
                RawGguf.Tensor tensor = gguf.tensors().get("blk.1.attn_q.weight");
                assertThat(tensor.type()).isEqualTo(type.code());
                // the minimum of a group is rounded to float16
                assertThat(tensor.numbers())
                        .containsExactly(
                                reordered(expected, 64),
                                within(type == GgufType.F16 ? 1e-3f : 5e-4f));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16"})
    void roundsToTheNearestLevel(GgufType type) throws IOException {
        TinyModel model = model("qwen2").window(1000);
        RawGguf gguf = exported(model.write(temporary.resolve("model")), type);
        float[] exact = model.tensors().get("model.layers.0.mlp.up_proj.weight").floats();
        float[] stored = gguf.tensors().get("blk.0.ffn_up.weight").numbers();
        assertThat(gguf.tensors().get("blk.0.ffn_up.weight").type()).isEqualTo(type.code());
        for (int first = 0; first < exact.length; first += 32) {
            float low = 0;
            float high = 0;
            for (int i = first; i < first + 32; i++) {
                low = Math.min(low, exact[i]);
                high = Math.max(high, exact[i]);
            }
            float peak = Math.max(high, -low);
            float step =
                    switch (type) {
                        case Q8_0 -> peak / 127;
                        case Q4_0 -> peak / 8;
                        case Q5_0 -> peak / 16;
                        case Q4_1 -> (high - low) / 15;
                        case Q5_1 -> (high - low) / 31;
                        default -> peak / 128;
                    };
            // scales are rounded to float16; levels run from -8 to 7, so the other end may be a
            // whole step away
            float reach = type == GgufType.Q4_0 || type == GgufType.Q5_0 ? 1 : 0.5f;
            for (int i = first; i < first + 32; i++) {
                assertThat(stored[i]).isCloseTo(exact[i], within(step * reach + peak / 1024));
            }
        }
    }

    /// Rows of 512 are two blocks; those of 288 and of 48 are none.
    @ParameterizedTest
    @CsvSource({"Q4_K,Q5_0", "Q5_K,Q5_1", "Q6_K,Q8_0"})
    void rowsThatAreNoWholeBlocksAreOfAnotherType(GgufType type, GgufType other)
            throws IOException {
        TinyModel model = TinyModel.of("qwen2").width(512, 288).heads(8, 2, 64).window(1000);
        RawGguf gguf = exported(model.write(temporary.resolve("model")), type);
        assertThat(gguf.values()).containsEntry("general.file_type", type.fileType());
        gguf.tensors()
                .forEach((name, tensor) -> {
                    GgufType expected =
                            tensor.shape().size() == 1
                                    ? GgufType.F32
                                    : name.contains("ffn_down") ? other : type;
                    assertThat(tensor.type()).as(name).isEqualTo(expected.code());
                });
        close(gguf, "blk.1.ffn_down.weight", model, "model.layers.1.mlp.down_proj.weight");
        close(gguf, "blk.1.ffn_up.weight", model, "model.layers.1.mlp.up_proj.weight");
        close(gguf, "output.weight", model, "lm_head.weight");
        RawGguf odd =
                exported(
                        model("qwen2").width(512, 48).window(1000).write(temporary.resolve("odd")),
                        type);
        assertThat(odd.tensors().get("blk.1.ffn_down.weight").type())
                .isEqualTo(GgufType.F16.code());
    }

    /// Of 16 blocks those below 2 and from 14 on, and every third of the others.
    @ParameterizedTest
    @CsvSource({"q4_k_m,Q4_K,false", "q5_k_m,Q5_K,true"})
    void mixesGiveMoreBitsToWhatMattersMost(String name, GgufType mostly, boolean tied)
            throws IOException {
        TinyModel model = TinyModel.of("llama").width(256, 256).heads(4, 4, 64).layers(16);
        if (tied) {
            model.tied();
        }
        Path file = temporary.resolve("mixed.gguf");
        try (Checkpoint checkpoint = Checkpoint.open(model.write(temporary.resolve("model")))) {
            assertThat(GgufExport.write(checkpoint, GgufMix.of(name), file)).isEmpty();
        }
        RawGguf gguf = RawGguf.read(file);
        assertThat(gguf.values()).containsEntry("general.file_type", mostly.fileType());
        List<Integer> more = List.of(0, 1, 4, 7, 10, 13, 14, 15);
        gguf.tensors()
                .forEach((tensor, stored) -> {
                    boolean sensitive = tensor.matches("blk.*(attn_v|ffn_down).weight");
                    boolean singledOut =
                            sensitive && more.contains(Integer.valueOf(tensor.split("[.]")[1]))
                                    || tensor.equals(tied ? "token_embd.weight" : "output.weight");
                    GgufType expected =
                            stored.shape().size() == 1
                                    ? GgufType.F32
                                    : singledOut ? GgufType.Q6_K : mostly;
                    assertThat(stored.type()).as(tensor).isEqualTo(expected.code());
                });
    }

    /// Values are counted where there is attention, here in 14 of 16 blocks; second feed-forward
    /// matrices along those that are there, but as if there were 16.
    @Test
    void mixesCountThePartsThatAreThere() throws IOException {
        TinyModel model =
                TinyModel.of("llama")
                        .width(256, 256)
                        .heads(4, 4, 64)
                        .layers(16)
                        .without(List.of(3, 8), List.of(8));
        Path file = temporary.resolve("parts.gguf");
        try (Checkpoint checkpoint = Checkpoint.open(model.write(temporary.resolve("parts")))) {
            assertThat(GgufExport.write(checkpoint, GgufMix.of("q4_k_m"), file)).isEmpty();
        }
        RawGguf gguf = RawGguf.read(file);
        assertThat(withMore(gguf, "attn_v")).containsExactly(0, 4, 7, 11, 14, 15);
        assertThat(withMore(gguf, "ffn_down")).containsExactly(0, 1, 4, 7, 11, 14, 15);
        assertThat(withMore(gguf, "attn_q")).isEmpty();
    }

    /// The blocks whose weights of a name have 6 bits.
    private static List<Integer> withMore(RawGguf gguf, String name) {
        return gguf.tensors().entrySet().stream()
                .filter(tensor -> tensor.getKey().endsWith("." + name + ".weight"))
                .filter(tensor -> tensor.getValue().type() == GgufType.Q6_K.code())
                .map(tensor -> Integer.valueOf(tensor.getKey().split("[.]")[1]))
                .sorted()
                .toList();
    }

    private static void close(RawGguf gguf, String name, TinyModel model, String original) {
        float[] exact = model.tensors().get(original).floats();
        float[] stored = gguf.tensors().get(name).numbers();
        double error = 0;
        double squares = 0;
        for (int i = 0; i < exact.length; i++) {
            error += Math.pow(stored[i] - exact[i], 2);
            squares += exact[i] * exact[i];
        }
        assertThat(Math.sqrt(error / squares)).as(name).isLessThan(0.08);
    }

    @Test
    void theTokenizerGoesAlong() throws IOException {
        Path folder = model("llama").write(temporary.resolve("model"));
        Files.writeString(folder.resolve("chat_template.jinja"), "{{ messages }}");
        Map<String, Object> values = exported(folder, null).values();
        assertThat(values)
                .containsEntry("tokenizer.ggml.model", "gpt2")
                .containsEntry("tokenizer.ggml.pre", "gpt-2")
                .containsEntry("tokenizer.ggml.bos_token_id", 0)
                .containsEntry("tokenizer.ggml.eos_token_id", 1)
                .containsEntry("tokenizer.ggml.add_bos_token", true)
                .containsEntry("tokenizer.chat_template", "{{ messages }}");
        assertThat((List<?>) values.get("tokenizer.ggml.tokens")).hasSize(300);
        assertThat(((List<?>) values.get("tokenizer.ggml.tokens")).getFirst()).isEqualTo("<|bos|>");
        assertThat(((List<?>) values.get("tokenizer.ggml.token_type")).subList(0, 3).toString())
                .isEqualTo("[3, 3, 1]");
    }

    @Test
    void theWayTextsAreSplitHasAName() throws IOException {
        String most = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
        String rest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
        assertThat(split(most + "\\p{N}{1,3}" + rest)).isEqualTo("llama-bpe");
        assertThat(split(most + "\\p{N}" + rest)).isEqualTo("qwen2");
        assertThatThrownBy(() -> split("[a-z]+")).hasMessageContaining("by a pattern that Lithe");
    }

    private Object split(String pattern) throws IOException {
        Path folder = model("llama").write(temporary.resolve("model"));
        var mapper = new JsonMapper();
        Path file = folder.resolve("tokenizer.json");
        ObjectNode tokenizer = (ObjectNode) mapper.readTree(file.toFile());
        var split = tokenizer.putObject("pre_tokenizer").put("type", "Sequence");
        split.putArray("pretokenizers")
                .addObject()
                .put("type", "Split")
                .putObject("pattern")
                .put("Regex", pattern);
        Files.writeString(file, tokenizer.toString());
        return exported(folder, null).values().get("tokenizer.ggml.pre");
    }

    @Test
    void mergesOfSentencePieceBecomeScores() throws IOException {
        Path folder = model("llama").write(temporary.resolve("model"));
        var mapper = new JsonMapper();
        Path file = folder.resolve("tokenizer.json");
        ObjectNode tokenizer = (ObjectNode) mapper.readTree(file.toFile());
        ObjectNode bpe = (ObjectNode) tokenizer.path("model");
        bpe.put("byte_fallback", true).put("unk_token", "<unk>");
        ObjectNode vocab = bpe.putObject("vocab");
        List<String> tokens = List.of("<unk>", "<s>", "<0x00>", "a", "b", "ab", "aba");
        tokens.forEach(token -> vocab.put(token, tokens.indexOf(token)));
        bpe.putArray("merges").add("a b").add("ab a");
        tokenizer.putArray("added_tokens").addObject().put("id", 0).put("content", "<unk>");
        tokenizer.putObject("normalizer").put("type", "Prepend").put("prepend", "_");
        Files.writeString(file, tokenizer.toString());
        Map<String, Object> values = exported(folder, null).values();
        assertThat(values)
                .containsEntry("tokenizer.ggml.model", "llama")
                .containsEntry("tokenizer.ggml.add_space_prefix", true)
                .containsEntry("tokenizer.ggml.unknown_token_id", 0);
        assertThat(((List<?>) values.get("tokenizer.ggml.scores")).subList(3, 7).toString())
                .isEqualTo("[-2.0, -2.0, 0.0, -1.0]");
        assertThat(((List<?>) values.get("tokenizer.ggml.token_type")).subList(0, 8).toString())
                .isEqualTo("[2, 1, 6, 1, 1, 1, 1, 5]");
    }

    @Test
    void whatLlamaCppCannotRunIsRefused() throws IOException {
        refused(model("mistral"), "see 7 positions back");
        refused(
                model("llama").without(List.of(0), List.of()),
                "block 0 has no attention for one without any; use --to dense");
        refused(model("gemma2"), "Gemma2ForCausalLM cannot be exported as GGUF");
    }

    private void refused(TinyModel model, String reason) throws IOException {
        Path folder = model.write(temporary.resolve(reason.substring(0, 5).strip()));
        assertThatThrownBy(() -> exported(folder, null))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
        assertThat(temporary.resolve("model.gguf")).doesNotExist();
    }

    @Test
    void nothingIsLeftOfAFileThatCouldNotBeWritten() throws IOException {
        var writer = new GgufWriter();
        writer.tensor(
                "a",
                GgufType.F32,
                new long[] {4},
                _ -> {
                    throw new IOException("no space left");
                });
        assertThatThrownBy(() -> writer.write(temporary.resolve("model.gguf")))
                .hasMessageContaining("model.gguf: cannot be written (no space left)");
        assertThat(temporary).isEmptyDirectory();
    }
}
