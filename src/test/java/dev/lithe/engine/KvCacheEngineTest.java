package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.PlainLoop;
import dev.lithe.model.KvCacheForm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// One engine, models whose caches differ.
class KvCacheEngineTest {

    @TempDir private Path folder;

    private ServedModel open(int keys, int values) throws IOException {
        Path made = Files.createDirectory(folder.resolve(keys + "-" + values));
        return DemoWith.open(made, new KvCacheForm(keys, values)::describe);
    }

    private static GenerationRequest request(ServedModel model, int tokens) {
        return new GenerationRequest(
                model,
                Arrays.stream(prompt(model)).boxed().toList(),
                SamplingOptions.GREEDY,
                StopRules.exactly(tokens),
                OptionalLong.empty());
    }

    private static int[] prompt(ServedModel model) {
        return model.tokenizer().encode("Once upon a time there was a little dog", true);
    }

    @Test
    void eachAnswersAsItWouldAlone() throws IOException {
        try (ServedModel floats = open(16, 16);
                ServedModel eight = open(8, 8);
                ServedModel four = open(4, 4);
                var engine = new Engine(EngineLimits.DEFAULT)) {
            List<ServedModel> models = List.of(floats, eight, four, eight);
            List<Recorder> recorders = new ArrayList<>();
            for (ServedModel model : models) {
                var recorder = new Recorder();
                engine.submit(request(model, 40), recorder);
                recorders.add(recorder);
            }
            recorders.forEach(Recorder::finish);
            for (int i = 0; i < models.size(); i++) {
                ServedModel model = models.get(i);
                int[] expected = PlainLoop.greedy(model.decoder(), prompt(model), 40);
                assertThat(recorders.get(i).ids)
                        .isEqualTo(Arrays.stream(expected).boxed().toList());
            }
        }
    }

    @Test
    void fewerBitsLeaveRoomForMore() throws IOException {
        try (ServedModel floats = open(16, 16);
                ServedModel four = open(4, 4)) {
            GenerationRequest large = request(floats, 400);
            GenerationRequest small = request(four, 400);
            assertThat(small.cacheBytes()).isLessThan(large.cacheBytes() / 5);
            try (Session session = Session.open(four.decoder(), small.capacity())) {
                assertThat(session.cacheBytes()).isEqualTo(small.cacheBytes());
            }
            long limit = large.cacheBytes() - 1;
            try (var engine = new Engine(new EngineLimits(4, 4, limit, Duration.ofSeconds(60)))) {
                assertThatThrownBy(() -> engine.submit(large, new Recorder()))
                        .hasMessageContaining("keys and values");
                var recorder = new Recorder();
                engine.submit(request(four, 8), recorder);
                recorder.finish();
                assertThat(recorder.ids).hasSize(8);
            }
        }
    }
}
