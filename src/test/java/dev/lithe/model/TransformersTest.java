package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Models that transformers made, against the logits that it computed: what
/// `eval/outside/transformers_architectures.py` wrote.
@EnabledIfSystemProperty(
        named = "lithe.golden",
        matches = ".+",
        disabledReason = "compares with what eval/outside/transformers_architectures.py writes")
class TransformersTest {
    private static final double TOLERANCE = 1e-4;

    static Stream<Path> folders() throws IOException {
        return Files.list(Path.of(System.getProperty("lithe.golden"))).sorted();
    }

    @ParameterizedTest
    @MethodSource("folders")
    void logitsAndGreedyContinuationAgree(Path folder) throws IOException {
        JsonNode golden = new JsonMapper().readTree(folder.resolve("golden.json").toFile());
        double torch = off(folder, golden, Optional.empty());
        double fast = off(folder, golden, NativeLibrary.chosen());
        System.out.printf("%-24s %.1e %.1e%n", folder.getFileName(), torch, fast);
        assertThat(Math.max(torch, fast)).isLessThan(TOLERANCE);
    }

    /// The largest difference of a logit, relative to the largest logit.
    private static double off(Path folder, JsonNode golden, Optional<Instructions> instructions) {
        int[] ids = ints(golden.get("ids"));
        int[] greedy = ints(golden.get("greedy"));
        try (Decoder decoder = Decoder.open(folder, instructions);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, ids.length + greedy.length, scope);
            float[] logits =
                    decoder.forward(AgainstNaive.ids(scope, ids), 0, cache, true, scope).floats();
            int width = logits.length / ids.length;
            double off = 0;
            double largest = 0;
            for (int i = 0; i < logits.length; i++) {
                double expected = golden.get("logits").get(i / width).get(i % width).asDouble();
                off = Math.max(off, Math.abs(logits[i] - expected));
                largest = Math.max(largest, Math.abs(expected));
            }
            float[] last = Arrays.copyOfRange(logits, logits.length - width, logits.length);
            for (int i = 0; i < greedy.length; i++) {
                float[] row = last;
                int token =
                        IntStream.range(0, width)
                                .reduce((a, b) -> row[b] > row[a] ? b : a)
                                .orElseThrow();
                assertThat(token).as("%s, token %d", folder, i).isEqualTo(greedy[i]);
                last =
                        decoder.forward(
                                        AgainstNaive.ids(scope, token),
                                        ids.length + i,
                                        cache,
                                        false,
                                        scope)
                                .floats();
            }
            return off / largest;
        }
    }

    private static int[] ints(JsonNode array) {
        return IntStream.range(0, array.size()).map(i -> array.get(i).asInt()).toArray();
    }
}
