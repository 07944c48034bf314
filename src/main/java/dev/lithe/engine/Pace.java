package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.model.ForwardPass;
import dev.lithe.model.KvBatch;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import java.util.List;

/// How prompts are cut so that nobody waits long for them: measured once per model, when it is
/// first served.
///
/// Others wait for one slice of a prompt at a time, which is some blocks of the forward pass of one
/// chunk, and takes about as long as [#STEPS] decode steps. A chunk is as long as lets one block
/// take no more than that, since the products of long chunks are faster per token.
///
/// @param chunk most tokens in one pass
/// @param layers blocks of the model
/// @param stepNanos a decode step of one sequence
/// @param blockNanos one block of a whole chunk
record Pace(int chunk, int layers, double stepNanos, double blockNanos) {
    private static final double STEPS = 1.5;
    private static final int LONGEST = 256;
    private static final int SHORTEST = 16;
    private static final int TRIALS = 4;

    /// Measures a model.
    ///
    /// @param chunk how many tokens a chunk has; 0 finds it
    static Pace measure(Decoder decoder, int chunk) {
        int room = Math.min(decoder.spec().maxPositions(), Math.max(LONGEST, chunk) + 1);
        try (var scope = TensorScope.open()) {
            KvCache cache = decoder.newCache(1, room, scope);
            try (var batch = new KvBatch(List.of(cache))) {
                double step = fastest(() -> step(decoder, batch));
                int tokens = Math.min(room, chunk > 0 ? chunk : LONGEST);
                double block = block(decoder, batch, tokens);
                while (chunk == 0 && tokens > SHORTEST && block > STEPS * step) {
                    tokens /= 2;
                    block = block(decoder, batch, tokens);
                }
                return new Pace(tokens, decoder.spec().layers(), step, block);
            }
        }
    }

    private static double step(Decoder decoder, KvBatch batch) {
        long start = System.nanoTime();
        try (var step = TensorScope.open()) {
            float[] _ = decoder.decode(new int[1], batch, step).floats();
        }
        batch.caches().getFirst().rewind(0);
        return System.nanoTime() - start;
    }

    private static double block(Decoder decoder, KvBatch batch, int tokens) {
        return fastest(() -> {
            try (ForwardPass pass = decoder.begin(new int[1][tokens], batch)) {
                long start = System.nanoTime();
                pass.advance(1);
                return System.nanoTime() - start;
            } finally {
                batch.caches().getFirst().rewind(0);
            }
        });
    }

    @FunctionalInterface
    private interface Trial {
        double nanos();
    }

    private static double fastest(Trial trial) {
        double least = trial.nanos();
        for (int i = 1; i < TRIALS; i++) {
            least = Math.min(least, trial.nanos());
        }
        return least;
    }

    /// Blocks to run at once of a pass of so many tokens; at least one.
    int blocks(int tokens) {
        double one = stepNanos / layers;
        double share = chunk == 1 ? 1 : (tokens - 1.0) / (chunk - 1);
        double each = one + Math.max(0, blockNanos - one) * share;
        return (int) Math.clamp(STEPS * stepNanos / each, 1, layers);
    }

    /// Whether one slice is enough for so many tokens.
    boolean atOnce(int tokens) {
        return tokens <= chunk && blocks(tokens) == layers;
    }

    /// About how long a prompt of so many tokens takes when nothing else runs.
    double prefillNanos(int tokens) {
        return stepNanos + blockNanos * layers * tokens / chunk;
    }
}
