package dev.lithe.engine;

import java.lang.System.Logger.Level;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.stream.LongStream;

/// How many tokens to guess, from what guessing was measured to cost and to bring: with a part a of
/// the guesses right, k guesses give (1 - a^(k + 1)) / (1 - a) tokens (Leviathan et al. 2023, eq.
/// 1) for k steps of the draft and one of the target with k + 1 tokens. A plain step now and then
///    keeps the comparison honest. Where a trial brings less than it costs, guessing stops for that
///    many sequences, for a time that doubles with each further trial that fails.
final class DraftLength {
    /// A plain step follows this many with guesses.
    private static final int PLAIN_EVERY = 16;

    /// Plain steps to measure before the first guess.
    private static final int FIRST_PLAIN = 4;

    /// Steps after which it is clear whether guessing pays.
    private static final int TRIAL = 32;

    private static final double NEWEST = 0.1;
    private static final double FORGET = 1 - 1.0 / TRIAL;
    private static final double LONGEST_OUTLIER = 3;

    /// What is supposed of guesses at first, and weighs as much as so many of them.
    private static final double SUPPOSED = 0.8;

    private static final int SUPPOSITION = 8;
    private static final int MEMORY_OF_GUESSES = 200;

    private static final long FIRST_PAUSE = TimeUnit.SECONDS.toNanos(5);
    private static final long LONGEST_PAUSE = TimeUnit.MINUTES.toNanos(5);

    private static final System.Logger LOG = System.getLogger(DraftLength.class.getName());

    /// What was measured with a number of sequences.
    private static final class Load {
        private final Mean plain = new Mean();
        private final Mean draft = new Mean();
        private final Mean[] verify;
        private double rightGuesses = SUPPOSITION * SUPPOSED;
        private double guesses = SUPPOSITION;
        private double wouldTake;
        private double took;
        private int trial;
        private int sincePlain;
        private boolean off;
        private long offSince;
        private long pause = FIRST_PAUSE;

        Load(int most) {
            verify = new Mean[most + 1];
            for (int k = 0; k <= most; k++) {
                verify[k] = new Mean();
            }
        }
    }

    /// Of nanoseconds, where the newest weigh more.
    private static final class Mean {
        private double value;
        private int count;

        void add(double each) {
            double sample = count < FIRST_PLAIN ? each : Math.min(each, LONGEST_OUTLIER * value);
            count++;
            value += Math.max(NEWEST, 1.0 / count) * (sample - value);
        }
    }

    private final int most;
    private final LongSupplier nanoTime;
    private final Map<Integer, Load> loads = new HashMap<>();
    private final long[] acceptedAt;
    private long drafts;
    private long draftTokens;
    private long switchedOff;
    private double speedup = 1;
    private boolean active = true;

    DraftLength(int most, LongSupplier nanoTime) {
        this.most = most;
        this.nanoTime = nanoTime;
        this.acceptedAt = new long[most];
    }

    /// Most tokens that it says.
    int most() {
        return most;
    }

    /// Tokens to guess for each of so many sequences; 0 for a plain step.
    synchronized int choose(int sequences) {
        Load load = load(sequences);
        if (load.off && nanoTime.getAsLong() - load.offSince >= load.pause) {
            load.off = false;
            load.trial = 0;
            load.wouldTake = 0;
            load.took = 0;
            load.guesses = SUPPOSITION;
            load.rightGuesses = SUPPOSITION * SUPPOSED;
            load.pause = Math.min(LONGEST_PAUSE, 2 * load.pause);
        }
        active = !load.off;
        boolean measure = load.plain.count < FIRST_PLAIN || load.sincePlain >= PLAIN_EVERY;
        return load.off || measure ? 0 : best(load);
    }

    /// Whether it says 0 for so many sequences because guessing does not pay.
    synchronized boolean off(int sequences) {
        return load(sequences).off;
    }

    private Load load(int sequences) {
        // Their number to two binary digits.
        int step = Math.max(1, Integer.highestOneBit(sequences) / 2);
        return loads.computeIfAbsent(sequences / step * step, _ -> new Load(most));
    }

    private int best(Load load) {
        double right = load.rightGuesses / load.guesses;
        double verify = load.plain.value;
        double expected = 1;
        double power = 1;
        double fastest = 0;
        int best = 1;
        for (int k = 1; k <= most; k++) {
            power *= right;
            expected += power;
            // What is not measured costs as much as what is less.
            verify = load.verify[k].count > 0 ? load.verify[k].value : verify;
            double rate = expected / (k * load.draft.value + verify);
            if (rate > fastest) {
                fastest = rate;
                best = k;
            }
        }
        return best;
    }

    /// A step without guesses took so long.
    synchronized void plain(int sequences, long nanos) {
        Load load = load(sequences);
        load.plain.add(nanos);
        load.sincePlain = 0;
    }

    /// A sequence had so many guesses, of which the first `right` were.
    synchronized void guessed(int sequences, int guesses, int right) {
        Load load = load(sequences);
        drafts++;
        draftTokens += guesses;
        for (int i = 0; i < right; i++) {
            acceptedAt[i]++;
        }
        load.guesses += Math.min(guesses, right + 1);
        load.rightGuesses += right;
        double keep = Math.min(1, MEMORY_OF_GUESSES / load.guesses);
        load.guesses *= keep;
        load.rightGuesses *= keep;
    }

    /// A step with guesses took so long and gave so many tokens.
    ///
    /// @param length of the longest draft; 0 where the draft model had to catch up
    /// @param draftNanos of it for the draft model
    synchronized void speculative(
            int sequences, int length, long draftNanos, long nanos, int tokens) {
        Load load = load(sequences);
        load.sincePlain++;
        if (length > 0) {
            load.draft.add(draftNanos / (double) length);
            load.verify[length].add(nanos - draftNanos);
        }
        load.wouldTake = FORGET * load.wouldTake + load.plain.value * tokens / sequences;
        load.took = FORGET * load.took + nanos;
        speedup = load.wouldTake / load.took;
        load.trial++;
        if (load.trial >= TRIAL && load.wouldTake < load.took) {
            switchOff(load, sequences, "it takes longer than doing without");
        } else if (load.trial > 2 * TRIAL) {
            load.pause = FIRST_PAUSE;
        }
    }

    /// The draft model broke.
    synchronized void failed(int sequences, Throwable error) {
        switchOff(load(sequences), sequences, "the draft model failed: " + error);
    }

    private void switchOff(Load load, int sequences, String why) {
        load.off = true;
        load.offSince = nanoTime.getAsLong();
        active = false;
        LOG.log(
                switchedOff == 0 ? Level.WARNING : Level.INFO,
                "speculation with {0} sequences is off for {1} s: {2} ({3} x as fast,"
                        + " {4} of the guesses right)",
                sequences,
                TimeUnit.NANOSECONDS.toSeconds(load.pause),
                why,
                String.format("%.2f", speedup),
                String.format("%.2f", load.rightGuesses / load.guesses));
        switchedOff++;
    }

    /// For watching, from any thread.
    synchronized SpeculationCounts counts() {
        return new SpeculationCounts(
                drafts,
                draftTokens,
                LongStream.of(acceptedAt).sum(),
                LongStream.of(acceptedAt).boxed().toList(),
                speedup,
                active,
                switchedOff);
    }
}
