package dev.lithe.technique.reshape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.VocabTrim.Config;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VocabTrimTest extends ModelTechniqueContract<Config> {
    private static final JsonMapper JSON = new JsonMapper();
    private static final int BYTES_AND_SPECIALS = 258;
    private static final String TEXT = "the other then";

    private final VocabTrim vocabTrim = new VocabTrim();

    @Override
    protected ModelTechnique<Config> technique() {
        return vocabTrim;
    }

    @Override
    protected List<Config> configurations() {
        return List.of(new Config(280), new Config(BYTES_AND_SPECIALS));
    }

    /// `and` is not in the text and `then` is one token, which two merges make.
    @Test
    void keepsWhatTheTextUsesAndWhatThatIsMadeOf(@TempDir Path folder, @TempDir Path made)
            throws IOException {
        writeModel(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, text(folder));
                var trimmed = vocabTrim.apply(before, new Config(BYTES_AND_SPECIALS + 4))) {
            JsonNode file = trimmed.rewritten().get("tokenizer.json");
            Files.writeString(made.resolve("tokenizer.json"), file.toString());
            assertThat(fields(file.at("/model/vocab")))
                    .contains("th", "the", "he", "then", "<|bos|>")
                    .doesNotContain("an", "and");
            assertThat(file.at("/model/merges").toString())
                    .isEqualTo("[\"t h\",\"h e\",\"th e\",\"t he\",\"the n\"]");
            assertThat(trimmed.omitted()).contains("merges.txt", "tokenizer.model");
            float[] rows = embedding(before);
            float[] kept = embedding(trimmed);
            int d = before.spec().hiddenSize();
            try (var old = Tokenizer.open(folder);
                    var now = Tokenizer.open(made)) {
                int[] ids = old.encode(TEXT, true);
                int[] renumbered = now.encode(TEXT, true);
                assertThat(renumbered).hasSameSizeAs(ids);
                for (int i = 0; i < ids.length; i++) {
                    assertThat(now.decode(renumbered[i])).isEqualTo(old.decode(ids[i]));
                    for (int j = 0; j < d; j++) {
                        assertThat(kept[renumbered[i] * d + j]).isEqualTo(rows[ids[i] * d + j]);
                    }
                }
                assertThat(now.encode("and", false)).hasSize(3);
                assertThat(now.decode(now.encode("and é", false))).isEqualTo("and é");
            }
        }
    }

    /// Named tokens beyond the new size become the last ones, in every file that names them.
    @Test
    void specialTokensAreRenumberedEverywhere(@TempDir Path folder) throws IOException {
        writeModel(folder);
        ObjectNode config = (ObjectNode) JSON.readTree(folder.resolve("config.json").toFile());
        config.put("pad_token_id", -1).putArray("eos_token_id").add(1).add(299);
        Files.writeString(folder.resolve("config.json"), config.toString());
        Files.writeString(
                folder.resolve("generation_config.json"),
                "{\"eos_token_id\":[1,299],\"top_k\":299}");
        Files.writeString(
                folder.resolve("tokenizer_config.json"),
                "{\"added_tokens_decoder\":{\"1\":{\"content\":\"<|eos|>\"},\"270\":{}}}");
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, text(folder));
                var made = vocabTrim.apply(before, new Config(262))) {
            assertThat(made.spec().eosTokens()).containsExactly(1, 261);
            assertThat(made.config().path("pad_token_id").asInt()).isEqualTo(-1);
            assertThat(made.rewritten().get("generation_config.json").toString())
                    .isEqualTo("{\"eos_token_id\":[1,261],\"top_k\":299}");
            assertThat(made.rewritten().get("tokenizer_config.json").toString())
                    .isEqualTo("{\"added_tokens_decoder\":{\"1\":{\"content\":\"<|eos|>\"}}}");
        }
    }

    /// As in Gemma 3's models of text alone, whose tokenizer knows an image's token.
    @Test
    void tokensWithoutARowGo(@TempDir Path folder, @TempDir Path made) throws IOException {
        writeModel(folder);
        Path file = folder.resolve("tokenizer.json");
        ObjectNode root = (ObjectNode) JSON.readTree(file.toFile());
        ObjectNode image = root.withArray("added_tokens").get(1).deepCopy();
        root.withArray("added_tokens").add(image.put("id", 300).put("content", "<|image|>"));
        Files.writeString(file, root.toString());
        Files.writeString(folder.resolve("added_tokens.json"), "{\"<|eos|>\":1,\"<|image|>\":300}");
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, text(folder));
                var trimmed = vocabTrim.apply(before, new Config(BYTES_AND_SPECIALS + 4))) {
            JsonNode tokenizer = trimmed.rewritten().get("tokenizer.json");
            assertThat(tokenizer.path("added_tokens")).hasSize(2);
            assertThat(trimmed.rewritten().get("added_tokens.json").toString())
                    .isEqualTo("{\"<|eos|>\":1}");
            Files.writeString(made.resolve("tokenizer.json"), tokenizer.toString());
            try (var now = Tokenizer.open(made)) {
                assertThat(now.decode(now.encode(TEXT, false))).isEqualTo(TEXT);
            }
        }
    }

    @Test
    void sizesThatCannotBeAreRefused(@TempDir Path folder) throws IOException {
        assertThatThrownBy(() -> vocabTrim.configure(model().config(), new Config(300)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("tokens is 300, and the model has 300");
        assertThatThrownBy(() -> new Config(0)).hasMessageContaining("how many stay");
        writeModel(folder);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, text(folder))) {
            assertThatThrownBy(() -> vocabTrim.apply(before, new Config(200)))
                    .hasMessageContaining("special tokens and the alphabet are 258");
        }
    }

    /// With merges for `then` by two ways, and for `and`.
    private static void writeModel(Path folder) throws IOException {
        model().write(folder);
        Path file = folder.resolve("tokenizer.json");
        ObjectNode root = (ObjectNode) JSON.readTree(file.toFile());
        ObjectNode vocab = (ObjectNode) root.at("/model/vocab");
        int id = BYTES_AND_SPECIALS;
        for (String token : List.of("an", "and", "th", "he", "the", "then")) {
            vocab.remove("<filler" + id + ">");
            vocab.put(token, id++);
        }
        ArrayNode merges = ((ObjectNode) root.path("model")).putArray("merges");
        List.of("a n", "an d", "t h", "h e", "th e", "t he", "the n").forEach(merges::add);
        Files.writeString(file, root.toString());
    }

    private static CalibrationSet text(Path folder) {
        try (var tokenizer = Tokenizer.open(folder)) {
            int[] ids = tokenizer.encode(TEXT, false);
            long[][] windows = new long[1][ids.length];
            for (int i = 0; i < ids.length; i++) {
                windows[0][i] = ids[i];
            }
            return new CalibrationSet(new TextFile("text", "", TEXT), windows, 0);
        }
    }

    private static float[] embedding(WholeModel model) {
        var name = model.embedding().part().linears().getFirst();
        return model.embedding().linear(name).tensors().get("weight").floats();
    }

    private static Set<String> fields(JsonNode object) {
        return object.properties().stream()
                .map(field -> field.getKey())
                .collect(Collectors.toSet());
    }
}
