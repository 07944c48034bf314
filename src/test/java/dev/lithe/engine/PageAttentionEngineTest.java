package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.model.PageAttention;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Pages in the engine: answers are those of a text that was read alone and in one piece.
class PageAttentionEngineTest {

    @TempDir private static Path folder;

    private static ServedModel model;

    @BeforeAll
    static void load() throws IOException {
        model = DemoWith.open(folder, new PageAttention(16, 4, 1)::describe);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static Recorder ask(Engine engine, int[] prompt, int tokens) {
        var recorder = new Recorder();
        List<Integer> ids = Arrays.stream(prompt).boxed().toList();
        engine.submit(
                new GenerationRequest(
                        model,
                        ids,
                        SamplingOptions.GREEDY,
                        StopRules.exactly(tokens),
                        OptionalLong.empty()),
                recorder);
        return recorder;
    }

    @Test
    void beginningsThatAreReusedAnswerAlike() {
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            int[] first = DemoWith.text(300);
            int[] other = Arrays.copyOf(first, 250);
            Arrays.fill(other, 137, 250, 9); // departs within a page
            for (int[] prompt : List.of(first, Arrays.copyOf(first, 200), other, first)) {
                Recorder recorder = ask(engine, prompt, 40);
                recorder.finish();
                assertThat(recorder.ids).isEqualTo(DemoWith.plain(model, prompt, 40));
            }
        }
    }

    @Test
    void requestsTogetherAnswerAsAlone() {
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            List<Recorder> recorders = new ArrayList<>();
            for (int length : new int[] {3, 400, 90, 211}) {
                recorders.add(ask(engine, DemoWith.text(length), 60));
            }
            for (int i = 0; i < recorders.size(); i++) {
                recorders.get(i).finish();
                assertThat(recorders.get(i).ids)
                        .isEqualTo(
                                DemoWith.plain(
                                        model, DemoWith.text(new int[] {3, 400, 90, 211}[i]), 60));
            }
        }
    }

    @Test
    void guessesThatAreTakenBackDoNotChangeAnswers() {
        var clock = new AtomicLong();
        var always = new DraftLength(6, () -> clock.addAndGet(TimeUnit.HOURS.toNanos(1)));
        try (ServedModel draft = ServedModel.open(DemoWith.DEMO);
                var engine = new Engine(EngineLimits.DEFAULT)) {
            engine.speculate(new Speculation(model, draft, 6), always);
            Recorder recorder = ask(engine, DemoWith.text(150), 300);
            recorder.finish();
            assertThat(recorder.ids).isEqualTo(DemoWith.plain(model, DemoWith.text(150), 300));
            assertThat(engine.speculation(model).orElseThrow().draftTokens()).isGreaterThan(100);
        }
    }
}
