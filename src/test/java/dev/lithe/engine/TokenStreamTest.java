package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.SharedFiles;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The pieces of a text, joined, are the text.
class TokenStreamTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");

    private static void check(Tokenizer tokenizer, int[] ids) {
        var stream = new TokenStream(tokenizer, List.of());
        var text = new StringBuilder();
        for (int id : ids) {
            String piece = stream.add(id);
            assertThat(piece).doesNotEndWith("\uFFFD");
            text.append(piece);
        }
        text.append(stream.finish());
        assertThat(text.toString()).isEqualTo(tokenizer.decode(ids));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "café 123 你好",
                "  two spaces\n\n\ttab, and a family: 👩‍👩‍👧 🇨🇭",
                " leading space",
                "Ünïcödé — “quotes” … ḀḂ العربية हिन्दी",
                "\n",
                "a"
            })
    void ofTheDemo(String text) {
        try (Tokenizer tokenizer = Tokenizer.open(DEMO)) {
            check(tokenizer, tokenizer.encode(text, false));
            check(tokenizer, tokenizer.encode(text, true));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"stories260K", "tinystories-7m-f16"})
    void ofTheGoldenCases(String model) throws IOException {
        Path folder = SharedFiles.require("models/" + model);
        JsonNode golden = new JsonMapper().readTree(folder.resolve("golden.json").toFile());
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            for (JsonNode each : golden.get("cases")) {
                int[] ids = new int[each.get("ids").size()];
                for (int i = 0; i < ids.length; i++) {
                    ids[i] = each.get("ids").get(i).asInt();
                }
                check(tokenizer, ids);
            }
            check(tokenizer, tokenizer.encode("  café 123 你好 👩‍👩‍👧 x", true));
        }
    }

    @Test
    void brokenCharactersComeThroughInTheEnd() {
        try (Tokenizer tokenizer = Tokenizer.open(DEMO)) {
            int[] wave = tokenizer.encode("👋", false);
            assertThat(wave.length).isGreaterThan(1);
            var stream = new TokenStream(tokenizer, List.of());
            var text = new StringBuilder();
            for (int i = 0; i < 40; i++) {
                text.append(stream.add(wave[wave.length - 1]));
            }
            text.append(stream.finish());
            assertThat(text.toString()).matches("\uFFFD+");
        }
    }

    @Test
    void randomTokensOfValidText() {
        long seed = 17;
        var random = new Random(seed);
        String alphabet = "ab .é你👋\nß ";
        int[] points = alphabet.codePoints().toArray();
        try (Tokenizer tokenizer = Tokenizer.open(DEMO)) {
            for (int round = 0; round < 100; round++) {
                var text = new StringBuilder();
                for (int i = 0; i < 20; i++) {
                    text.appendCodePoint(points[random.nextInt(points.length)]);
                }
                check(tokenizer, tokenizer.encode(text.toString(), random.nextBoolean()));
            }
        }
    }
}
