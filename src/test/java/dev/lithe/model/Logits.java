package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.tensor.Instructions;
import dev.lithe.tensor.NativeLibrary;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/// The logits of all places of one short text, as engines compute them.
final class Logits {
    static final int TOKENS = 12;

    private static final int VOCAB = 300;
    private static final long[] IDS = new Random(5).longs(TOKENS, 0, VOCAB).toArray();

    private Logits() {}

    /// libtorch, and the native kernels for each set of instructions that runs here.
    static List<Optional<Instructions>> engines() {
        List<Optional<Instructions>> engines = new ArrayList<>(List.of(Optional.empty()));
        NativeLibrary.runnable().forEach(each -> engines.add(Optional.of(each)));
        return engines;
    }

    /// Read at once.
    static float[] together(Path folder, Optional<Instructions> engine) {
        try (Decoder decoder = Decoder.open(folder, engine);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, TOKENS, scope);
            return decoder.forward(scope.tensor(IDS, 1, TOKENS), 0, cache, true, scope).floats();
        }
    }

    /// Token by token.
    static float[] oneByOne(Path folder, Optional<Instructions> engine) {
        float[] all = new float[TOKENS * VOCAB];
        try (Decoder decoder = Decoder.open(folder, engine);
                var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, TOKENS, scope);
            for (int i = 0; i < TOKENS; i++) {
                var next = scope.tensor(new long[] {IDS[i]}, 1, 1);
                float[] row = decoder.forward(next, i, cache, true, scope).floats();
                System.arraycopy(row, 0, all, i * VOCAB, VOCAB);
            }
        }
        return all;
    }

    /// Fails where an engine's logits of the model in `folder` are not those of libtorch, together
    /// or one by one, or differ between these.
    static void requireAlike(Path folder) {
        float[] expected = together(folder, Optional.empty());
        for (Optional<Instructions> engine : engines()) {
            float[] logits = together(folder, engine);
            requireClose(logits, expected, engine + " together");
            float[] single = oneByOne(folder, engine);
            requireClose(single, expected, engine + " one by one");
            if (engine.isPresent()) {
                assertThat(single).as("%s", engine).isEqualTo(logits); // bit by bit
            }
        }
    }

    static void requireClose(float[] actual, float[] expected, String what) {
        for (int i = 0; i < expected.length; i++) {
            assertThat(actual[i]).as("%s, %d", what, i).isCloseTo(expected[i], within(2e-3f));
        }
    }
}
