package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.LitheException;
import dev.lithe.model.SparseAttention;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Models that keep heavy hitters, in the engine.
class HeavyHittersEngineTest {
    private static final SparseAttention SOME = new SparseAttention(4, 60, 32, 256);

    @TempDir private static Path folder;

    private static ServedModel model;

    @BeforeAll
    static void load() throws IOException {
        model = DemoWith.open(folder, SOME::describe);
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

    @Test
    void generatesFarBeyondTheContextInTheSameMemory() {
        int tokens = 3 * model.decoder().spec().maxPositions();
        int[] prompt = model.tokenizer().encode("Once upon a time", true);
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            var recorder = new DemoWith.Watching(engine);
            engine.submit(request(prompt, tokens), recorder);
            recorder.finish();
            assertThat(recorder.ids).isEqualTo(DemoWith.plain(model, prompt, tokens));
            assertThat(recorder.most)
                    .isEqualTo(6L * 8 * (4 + 32 + 60) * (2 * 32 * Float.BYTES + 2 * Double.BYTES));
        }
    }

    /// Long prompts, in chunks, beside sequences that decode.
    @Test
    void aBatchAnswersAsItsMembersDo() {
        List<int[]> prompts =
                List.of(
                        DemoWith.text(20),
                        DemoWith.text(700),
                        DemoWith.text(95),
                        DemoWith.text(300));
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            List<Recorder> recorders = new ArrayList<>();
            for (int[] prompt : prompts) {
                recorders.add(new Recorder());
                engine.submit(request(prompt, 120), recorders.getLast());
            }
            for (int i = 0; i < prompts.size(); i++) {
                recorders.get(i).finish();
                assertThat(recorders.get(i).ids)
                        .isEqualTo(DemoWith.plain(model, prompts.get(i), 120));
            }
        }
    }

    /// A dialogue goes on where it ended; a text that leaves it before is read anew.
    @Test
    void onlyWholeBeginningsAreReused() {
        int[] first = DemoWith.text(400);
        var memory = new CacheMemory(EngineLimits.DEFAULT);
        Session read = memory.open(request(first, StopRules.length(10)));
        float[] _ = read.prefill(first);
        memory.take(model, first, read);
        Session longer = memory.open(request(DemoWith.text(450), StopRules.length(5)));
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
            for (int[] prompt :
                    List.of(first, DemoWith.text(450), Arrays.copyOf(first, 300), first)) {
                var recorder = new Recorder();
                engine.submit(request(prompt, StopRules.length(20)), recorder);
                recorder.finish();
                assertThat(recorder.ids)
                        .isEqualTo(DemoWith.plain(model, prompt, recorder.ids.size()));
            }
        }
    }

    @Test
    void guessesAreRefused() {
        try (ServedModel whole = ServedModel.open(DemoWith.DEMO)) {
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
