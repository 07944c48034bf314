package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lithe.SharedFiles;
import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// The forward pass against `golden.json`, which independent implementations wrote.
class GoldenTest {
    private static final double TOLERANCE = 1e-3;

    @ParameterizedTest
    @MethodSource("cases")
    void logitsAndGreedyContinuationAgree(String model, Optional<Instructions> instructions)
            throws IOException {
        Path folder = SharedFiles.require("models/" + model);
        JsonNode golden = new JsonMapper().readTree(folder.resolve("golden.json").toFile());
        try (Decoder decoder = Decoder.open(folder, instructions)) {
            for (JsonNode testCase : golden.get("cases")) {
                check(decoder, testCase);
            }
        }
    }

    /// Every model by libtorch and by every set of instructions that runs here.
    static Stream<Arguments> cases() {
        List<Optional<Instructions>> all = new ArrayList<>(List.of(Optional.empty()));
        NativeLibrary.runnable().forEach(each -> all.add(Optional.of(each)));
        return Stream.of("stories260K", "tinystories-7m-f16")
                .flatMap(model -> all.stream().map(each -> Arguments.of(model, each)));
    }

    private static void check(Decoder decoder, JsonNode testCase) {
        long[] prompt = longs(testCase.get("ids"));
        boolean pairs = testCase.has("last_logits_top10");
        JsonNode top = testCase.get(pairs ? "last_logits_top10" : "top5");
        JsonNode greedy = testCase.get(pairs ? "greedy24" : "greedy40_ids");
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, prompt.length + greedy.size(), scope);
            float[] logits = next(decoder, cache, prompt, 0);
            int[] order = descending(logits);
            for (int i = 0; i < top.size(); i++) {
                JsonNode entry = top.get(i);
                assertThat(order[i]).isEqualTo((pairs ? entry.get(0) : entry.get("id")).asInt());
                double expected = pairs ? entry.get(1).asDouble() : entry.get("logit").asDouble();
                assertThat((double) logits[order[i]]).isCloseTo(expected, within(TOLERANCE));
            }
            for (int i = 0; i < greedy.size(); i++) {
                int token = descending(logits)[0];
                assertThat(token).as("token %d", i).isEqualTo(greedy.get(i).asInt());
                logits = next(decoder, cache, new long[] {token}, prompt.length + i);
            }
        }
    }

    private static float[] next(Decoder decoder, KvCache cache, long[] ids, int position) {
        try (var step = TensorScope.open()) {
            Value input = step.tensor(ids, 1, ids.length);
            return decoder.forward(input, position, cache, false, step).floats();
        }
    }

    private static long[] longs(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false)
                .mapToLong(JsonNode::asLong)
                .toArray();
    }

    private static int[] descending(float[] logits) {
        return IntStream.range(0, logits.length)
                .boxed()
                .sorted((a, b) -> Float.compare(logits[b], logits[a]))
                .mapToInt(Integer::intValue)
                .toArray();
    }
}
