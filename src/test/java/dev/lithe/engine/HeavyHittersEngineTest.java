package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.PlainLoop;
import dev.lithe.fault.LitheException;
import dev.lithe.model.SparseAttention;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Models that keep heavy hitters, in the engine.
class HeavyHittersEngineTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final SparseAttention SOME = new SparseAttention(4, 60, 32, 256);

    @TempDir private static Path folder;

    private static ServedModel model;

    @BeforeAll
    static void load() throws IOException {
        for (String file :
                List.of("model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(DEMO.resolve(file), folder.resolve(file));
        }
        var json = new JsonMapper();
        var config = (ObjectNode) json.readTree(Files.readAllBytes(DEMO.resolve("config.json")));
        SOME.describe(config);
        json.writeValue(folder.resolve("config.json").toFile(), config);
        model = ServedModel.open(folder);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static GenerationRequest request(int[] prompt, int tokens) {
        return request(prompt, StopRules.exactly(tokens));
    }

    private static GenerationRequest request(int[] prompt, StopRules stop) {
        List<Integer> ids = Arrays.stream(prompt).boxed().toList();
        return new GenerationRequest(
                model, ids, SamplingOptions.GREEDY, stop, OptionalLong.empty());
    }

    private static int[] text(int length) {
        return new Random(4).ints(length, 3, 4096).toArray();
    }

    private static List<Integer> plain(int[] prompt, int tokens) {
        int[] ids = PlainLoop.greedy(model.decoder(), prompt, tokens);
        return Arrays.stream(ids).boxed().toList();
    }

    /// Looks at the engine's memory with every token.
    private static final class Watching extends Recorder {
        private final Engine engine;
        private long most;

        Watching(Engine engine) {
            this.engine = engine;
        }

        @Override
        public void onDelta(String delta, List<Integer> newIds) {
            super.onDelta(delta, newIds);
            most = Math.max(most, engine.cacheBytes());
        }
    }

    @Test
    void generatesFarBeyondTheContextInTheSameMemory() {
        int tokens = 3 * model.decoder().spec().maxPositions();
        int[] prompt = model.tokenizer().encode("Once upon a time", true);
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            var recorder = new Watching(engine);
            engine.submit(request(prompt, tokens), recorder);
            recorder.finish();
            assertThat(recorder.ids).isEqualTo(plain(prompt, tokens));
            assertThat(recorder.most)
                    .isEqualTo(6L * 8 * (4 + 32 + 60) * (2 * 32 * Float.BYTES + 2 * Double.BYTES));
        }
    }

    /// Long prompts, in chunks, beside sequences that decode.
    @Test
    void aBatchAnswersAsItsMembersDo() {
        List<int[]> prompts = List.of(text(20), text(700), text(95), text(300));
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            List<Recorder> recorders = new ArrayList<>();
            for (int[] prompt : prompts) {
                recorders.add(new Recorder());
                engine.submit(request(prompt, 120), recorders.getLast());
            }
            for (int i = 0; i < prompts.size(); i++) {
                recorders.get(i).finish();
                assertThat(recorders.get(i).ids).isEqualTo(plain(prompts.get(i), 120));
            }
        }
    }

    /// A dialogue goes on where it ended; a text that leaves it before is read anew.
    @Test
    void onlyWholeBeginningsAreReused() {
        int[] first = text(400);
        var memory = new CacheMemory(EngineLimits.DEFAULT);
        Session read = memory.open(request(first, StopRules.length(10)));
        float[] _ = read.prefill(first);
        memory.take(model, first, read);
        Session longer = memory.open(request(text(450), StopRules.length(5)));
        assertThat(longer.position()).isEqualTo(400);
        memory.take(model, new int[0], longer);
        Session shorter = memory.open(request(Arrays.copyOf(first, 300), StopRules.length(5)));
        assertThat(shorter.position()).isZero();
        float[] _ = shorter.prefill(Arrays.copyOf(first, 200));
        memory.take(model, Arrays.copyOf(first, 150), shorter); // 50 too many
        Session after = memory.open(request(Arrays.copyOf(first, 300), StopRules.length(5)));
        assertThat(after.position()).isZero();
        memory.take(model, new int[0], after);
        memory.close();
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            for (int[] prompt : List.of(first, text(450), Arrays.copyOf(first, 300), first)) {
                var recorder = new Recorder();
                engine.submit(request(prompt, StopRules.length(20)), recorder);
                recorder.finish();
                assertThat(recorder.ids).isEqualTo(plain(prompt, recorder.ids.size()));
            }
        }
    }

    @Test
    void guessesAreRefused() {
        try (ServedModel whole = ServedModel.open(DEMO)) {
            assertThatThrownBy(() -> new Speculation(model, whole, 4))
                    .isInstanceOf(LitheException.class)
                    .hasMessage(
                            "the target keeps 32 heavy hitters (sparse_attention) and cannot take"
                                    + " back what was guessed wrong; serve without a draft, or leave"
                                    + " heavy out");
            assertThatThrownBy(() -> new Speculation(whole, model, 4))
                    .hasMessageStartingWith("the draft keeps 32 heavy hitters");
        }
    }
}
