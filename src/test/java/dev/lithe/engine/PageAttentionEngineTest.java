package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.PlainLoop;
import dev.lithe.model.PageAttention;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Pages in the engine: answers are those of a text that was read alone and in one piece.
class PageAttentionEngineTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");

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
        new PageAttention(16, 4, 1).describe(config);
        json.writeValue(folder.resolve("config.json").toFile(), config);
        model = ServedModel.open(folder);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static int[] text(int length) {
        return new Random(4).ints(length, 3, 4096).toArray();
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

    private static List<Integer> plain(int[] prompt, int tokens) {
        int[] ids = PlainLoop.greedy(model.decoder(), prompt, tokens);
        return Arrays.stream(ids).boxed().toList();
    }

    @Test
    void beginningsThatAreReusedAnswerAlike() {
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            int[] first = text(300);
            int[] other = Arrays.copyOf(first, 250);
            Arrays.fill(other, 137, 250, 9); // departs within a page
            for (int[] prompt : List.of(first, Arrays.copyOf(first, 200), other, first)) {
                Recorder recorder = ask(engine, prompt, 40);
                recorder.finish();
                assertThat(recorder.ids).isEqualTo(plain(prompt, 40));
            }
        }
    }

    @Test
    void requestsTogetherAnswerAsAlone() {
        try (var engine = new Engine(EngineLimits.DEFAULT)) {
            List<Recorder> recorders = new ArrayList<>();
            for (int length : new int[] {3, 400, 90, 211}) {
                recorders.add(ask(engine, text(length), 60));
            }
            for (int i = 0; i < recorders.size(); i++) {
                recorders.get(i).finish();
                assertThat(recorders.get(i).ids)
                        .isEqualTo(plain(text(new int[] {3, 400, 90, 211}[i]), 60));
            }
        }
    }

    @Test
    void guessesThatAreTakenBackDoNotChangeAnswers() {
        var clock = new AtomicLong();
        var always = new DraftLength(6, () -> clock.addAndGet(TimeUnit.HOURS.toNanos(1)));
        try (ServedModel draft = ServedModel.open(DEMO);
                var engine = new Engine(EngineLimits.DEFAULT)) {
            engine.speculate(new Speculation(model, draft, 6), always);
            Recorder recorder = ask(engine, text(150), 300);
            recorder.finish();
            assertThat(recorder.ids).isEqualTo(plain(text(150), 300));
            assertThat(engine.speculation(model).orElseThrow().draftTokens()).isGreaterThan(100);
        }
    }
}
