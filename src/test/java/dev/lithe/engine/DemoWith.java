package dev.lithe.engine;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.PlainLoop;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/// The demo with another way to attend or to keep what was read, and texts for it.
final class DemoWith {
    static final Path DEMO = Path.of("src/main/resources/demo");

    private DemoWith() {}

    /// The demo, copied to `folder`, with a `config.json` that says more.
    static ServedModel open(Path folder, Consumer<ObjectNode> described) throws IOException {
        for (String file :
                List.of("model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(DEMO.resolve(file), folder.resolve(file));
        }
        var json = new JsonMapper();
        var config = (ObjectNode) json.readTree(Files.readAllBytes(DEMO.resolve("config.json")));
        described.accept(config);
        json.writeValue(folder.resolve("config.json").toFile(), config);
        return ServedModel.open(folder);
    }

    /// Ids that mean nothing.
    static int[] text(int length) {
        return new Random(4).ints(length, 3, 4096).toArray();
    }

    /// What comes after `prompt` without the engine.
    static List<Integer> plain(ServedModel model, int[] prompt, int tokens) {
        int[] ids = PlainLoop.greedy(model.decoder(), prompt, tokens);
        return Arrays.stream(ids).boxed().toList();
    }

    /// Looks at the engine's memory with every token.
    static final class Watching extends Recorder {
        private final Engine engine;
        long most;

        Watching(Engine engine) {
            this.engine = engine;
        }

        @Override
        public void onDelta(String delta, List<Integer> newIds) {
            super.onDelta(delta, newIds);
            most = Math.max(most, engine.cacheBytes());
        }
    }
}
