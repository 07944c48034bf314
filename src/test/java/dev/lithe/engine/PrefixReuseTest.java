package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.PlainLoop;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/// Prompts that begin as an earlier one: the same answers for less work, in bounded memory.
class PrefixReuseTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static ServedModel model;

    @BeforeAll
    static void load() {
        model = ServedModel.open(DEMO);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static int[] story(int length) {
        int[] ids = model.tokenizer().encode("Once upon a time there was", true);
        int[] rest = PlainLoop.greedy(model.decoder(), ids, length - ids.length);
        int[] both = Arrays.copyOf(ids, length);
        System.arraycopy(rest, 0, both, ids.length, rest.length);
        return both;
    }

    private static GenerationRequest request(int[] prompt, int tokens, boolean fresh) {
        return new GenerationRequest(
                model,
                Arrays.stream(prompt).boxed().toList(),
                SamplingOptions.GREEDY,
                new StopRules(tokens, List.of(), fresh),
                OptionalLong.empty());
    }

    private static EngineLimits limits(long bytes) {
        return new EngineLimits(16, 4, bytes, Duration.ofSeconds(60), 32, true);
    }

    private static List<Integer> answer(Engine engine, int[] prompt, int tokens, boolean fresh) {
        var recorder = new Recorder();
        engine.submit(request(prompt, tokens, fresh), recorder);
        recorder.finish();
        return recorder.ids;
    }

    @Test
    void answersAreTheSame() {
        int[] story = story(200);
        try (var engine = new Engine(limits(1 << 30))) {
            List<Integer> first = answer(engine, story, 30, false);
            long held = engine.cacheBytes();
            assertThat(held).isPositive();
            for (int length : new int[] {200, 199, 150, 33, 20}) {
                int[] part = Arrays.copyOf(story, length);
                List<Integer> reused = answer(engine, part, 30, false);
                List<Integer> computed = answer(engine, part, 30, true);
                assertThat(reused)
                        .as("%d tokens", length)
                        .isEqualTo(computed.subList(0, reused.size()));
            }
            // A conversation goes on: the earlier answer is part of the next prompt.
            int[] longer = Arrays.copyOf(story, story.length + first.size());
            for (int i = 0; i < first.size(); i++) {
                longer[story.length + i] = first.get(i);
            }
            List<Integer> reused = answer(engine, longer, 10, false);
            assertThat(reused)
                    .isEqualTo(answer(engine, longer, 10, true).subList(0, reused.size()));
        }
    }

    @Test
    void knownTokensAreNotReadAgain() {
        int[] story = story(120);
        var memory = new CacheMemory(limits(1 << 30));
        GenerationRequest request = request(story, 10, false);
        Session first = memory.open(request);
        assertThat(first.position()).isZero();
        first.prefill(story);
        memory.take(request.model(), story, first);
        Session second = memory.open(request);
        assertThat(second.position()).isEqualTo(story.length - 1);
        memory.take(request.model(), new int[0], second);
        GenerationRequest measured = request(story, 10, true);
        Session third = memory.open(measured);
        assertThat(third.position()).isZero();
        memory.take(measured.model(), new int[0], third);
        memory.close();
        assertThat(memory.used()).isZero();
    }

    @Test
    void keptCachesMakeRoom() {
        int[] story = story(150);
        GenerationRequest request = request(story, 20, false);
        long room = 3 * request.cacheBytes();
        try (var engine = new Engine(limits(room))) {
            for (int i = 0; i < 12; i++) {
                int[] other = story.clone();
                other[5] = 100 + i;
                answer(engine, other, 20, false);
                assertThat(engine.cacheBytes()).isLessThanOrEqualTo(room);
            }
            assertThat(answer(engine, story, 20, false)).isNotEmpty();
        }
    }
}
