package dev.lithe.tokenize;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TokenizerTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final long SEED = 3;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                " ",
                "a",
                "Once upon a time.\n\n",
                "naïve café",
                "数学",
                "👩‍🚀 \u0000\t",
                "e\u0301"
            })
    void textComesBack(String text) {
        try (var tokenizer = Tokenizer.open(DEMO)) {
            assertThat(tokenizer.decode(tokenizer.encode(text, false))).isEqualTo(text);
            assertThat(tokenizer.decode(tokenizer.encode(text, true))).isEqualTo(text);
        }
    }

    @Test
    void specialTokensAreAddedOnRequestAndLeftOutOfText(@TempDir Path folder) throws IOException {
        TinyModel.small().write(folder);
        try (var tokenizer = Tokenizer.open(folder)) {
            // the byte b is token 2 + b, and token 0 starts a text
            assertThat(tokenizer.encode("Az", false)).containsExactly(2 + 'A', 2 + 'z');
            assertThat(tokenizer.encode("Az", true)).containsExactly(0, 2 + 'A', 2 + 'z');
            assertThat(tokenizer.decode(0, 2 + 'A', 1, 2 + 'z', 1)).isEqualTo("Az");
            assertThat(tokenizer.encode("é", false)).containsExactly(2 + 0xc3, 2 + 0xa9);
        }
    }

    @Test
    void idsThatNoTokenHasAreLeftOut() {
        try (var tokenizer = Tokenizer.open(DEMO)) {
            int[] ids = tokenizer.encode("a", false);
            assertThat(tokenizer.decode(ids[0], 1_000_000)).isEqualTo("a");
            assertThat(tokenizer.decode(ids[0], -1)).isEqualTo("a");
            assertThat(tokenizer.decode()).isEmpty();
        }
    }

    @Test
    void longTextsAreNotCut() {
        try (var tokenizer = Tokenizer.open(DEMO)) {
            assertThat(tokenizer.encode("word ".repeat(20_000), false)).hasSizeGreaterThan(20_000);
        }
    }

    @Test
    void severalThreadsMayUseIt() throws Exception {
        try (var tokenizer = Tokenizer.open(DEMO);
                var threads = Executors.newFixedThreadPool(4)) {
            List<Callable<Boolean>> tasks =
                    new Random(SEED)
                            .longs(8)
                            .mapToObj(seed -> (Callable<Boolean>) () -> roundTrips(tokenizer, seed))
                            .toList();
            for (var result : threads.invokeAll(tasks)) {
                assertThat(result.get()).as("seed %d", SEED).isTrue();
            }
        }
    }

    private static boolean roundTrips(Tokenizer tokenizer, long seed) {
        var random = new Random(seed);
        for (int i = 0; i < 100; i++) {
            String text =
                    random.ints(50, ' ', 0x2000)
                            .collect(
                                    StringBuilder::new,
                                    StringBuilder::appendCodePoint,
                                    StringBuilder::append)
                            .toString();
            if (!tokenizer.decode(tokenizer.encode(text, true)).equals(text)) {
                return false;
            }
        }
        return true;
    }
}
