package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.model.ForwardPass;
import dev.lithe.model.KvBatch;
import dev.lithe.model.KvCache;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.SparseAttention;
import dev.lithe.model.Sublayers;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import java.util.stream.IntStream;

/// How prompts are cut so that nobody waits long for them: measured once per model, when it is
/// first served.
///
/// Others wait for one slice of a prompt at a time, which is some blocks of the forward pass of one
/// chunk. It takes about as long as a decode step ([#BESIDE]), and twice that once there have been
/// no others for a while ([#ALONE]); only what is over within [#ALONE] anyway is not cut. A chunk
/// is as long as lets one block take no more than a slice may; since every token attends to all
/// before it, the chunks of a long prompt get shorter towards its end. A block takes as long as
/// reading its weights does, or as its products take in proportion to the tokens, whichever is
/// more.
///
/// @param shortest least tokens that a pass is cut to
/// @param longest most tokens in one pass
/// @param layers blocks of the model
/// @param stepNanos a decode step of one sequence
/// @param blockNanos one block of a pass of `longest` tokens that have none before them
/// @param pairNanos one block, for each pair of a token with one before its pass that it sees
/// @param reach how far back a token sees
record Pace(
        int shortest,
        int longest,
        int layers,
        double stepNanos,
        double blockNanos,
        double pairNanos,
        int reach) {
    /// Steps that a slice may take while others are there.
    static final double BESIDE = 1;

    /// And while none are.
    static final double ALONE = 2;

    private static final int LONGEST = 256;
    private static final int SHORTEST = 16;

    /// Where the price of attention is measured.
    private static final int PAST = 1024;

    private static final int TRIALS = 4;

    /// Measures a model.
    ///
    /// @param chunk how many tokens a chunk has; 0 finds it
    static Pace measure(Decoder decoder, int chunk) {
        ModelSpec spec = decoder.spec();
        int positions = spec.maxPositions();
        int most = spec.sparseAttention().limited() ? SparseAttention.PIECE : positions;
        int longest = Math.min(Math.min(positions, most), chunk > 0 ? chunk : LONGEST);
        int past = Math.min(spec.seen(PAST), positions - longest);
        try (var scope = TensorScope.open()) {
            // What is not written takes no memory.
            KvCache cache = decoder.newCache(1, Math.min(positions, past + longest + 1), scope);
            try (var batch = new KvBatch(List.of(cache))) {
                double step = fastest(() -> step(decoder, batch));
                double near = block(decoder, batch, longest, 0);
                double far = past == 0 ? near : block(decoder, batch, longest, past);
                double pair = past == 0 ? 0 : Math.max(0, far - near) / ((double) longest * past);
                int shortest = chunk > 0 ? longest : Math.min(longest, SHORTEST);
                return new Pace(
                        shortest,
                        longest,
                        spec.layers(),
                        step,
                        near,
                        pair,
                        spec.seen(Integer.MAX_VALUE));
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

    private static double block(Decoder decoder, KvBatch batch, int tokens, int past) {
        KvCache cache = batch.caches().getFirst();
        int before = usual(decoder.spec().sublayers(), decoder.spec().layers());
        double nanos =
                fastest(() -> {
                    cache.skip(past); // the only block of a model ends the pass before
                    try (ForwardPass pass = decoder.begin(new int[1][tokens], batch)) {
                        if (before > 0) {
                            pass.advance(before);
                        }
                        long start = System.nanoTime();
                        pass.advance(1);
                        return System.nanoTime() - start;
                    }
                });
        cache.rewind(0);
        return nanos;
    }

    /// The first block with attention and a feed-forward part, or else with attention: the longest.
    static int usual(Sublayers sublayers, int blocks) {
        return IntStream.range(0, blocks)
                .filter(block -> sublayers.attends(block) && sublayers.feeds(block))
                .findFirst()
                .orElseGet(() ->
                        IntStream.range(0, blocks)
                                .filter(sublayers::attends)
                                .findFirst()
                                .orElseThrow());
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

    /// About how long one block of a pass takes.
    ///
    /// @param pairs of each of its `tokens` with each token before the pass
    private double nanos(int tokens, long pairs) {
        double products = blockNanos * tokens / longest;
        return Math.max(stepNanos / layers, products) + pairs * pairNanos;
    }

    /// Most tokens of a prompt to read in one pass after `past` of them.
    ///
    /// @param steps that a slice may take
    int chunk(int past, double steps) {
        int tokens = longest;
        while (tokens / 2 >= shortest && nanos(tokens, pairs(tokens, past)) > steps * stepNanos) {
            tokens /= 2;
        }
        return tokens;
    }

    /// Blocks to run at once of a pass; at least one.
    ///
    /// @param pairs of each of its `tokens` with each before the pass that it sees
    /// @param steps that a slice may take
    int blocks(int tokens, long pairs, double steps) {
        double each = nanos(tokens, pairs) / stepNanos;
        return each * layers <= ALONE ? layers : (int) Math.clamp(steps / each, 1, layers);
    }

    /// Whether one slice is enough for so many tokens after `past` others.
    boolean atOnce(int tokens, int past) {
        return layers * nanos(tokens, pairs(tokens, past)) <= ALONE * stepNanos;
    }

    /// Pairs of each of `tokens` with each of `past` before them that it sees.
    long pairs(int tokens, int past) {
        return (long) tokens * Math.min(past, reach);
    }

    /// About how long a prompt of so many tokens takes when nothing else runs.
    double prefillNanos(int tokens) {
        double seen = Math.min(tokens, reach);
        double pairs = seen * (tokens - seen / 2);
        return stepNanos + layers * (blockNanos * tokens / longest + pairs * pairNanos);
    }
}
