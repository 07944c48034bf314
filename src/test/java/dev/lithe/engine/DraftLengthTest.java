package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.time.Duration;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/// Guessing on a machine whose costs are known.
class DraftLengthTest {
    private static final long SEED = 3;
    private static final int MOST = 8;
    private static final long PLAIN = 1_000_000;

    private final AtomicLong clock = new AtomicLong();
    private final DraftLength length = new DraftLength(MOST, clock::get);
    private final Random random = new Random(SEED);
    private int plains;
    private long guesses;
    private long drafts;

    /// Steps of one sequence: a guess costs `draft` of a plain step and is right with `right`.
    private void steps(int count, double draft, double right) {
        for (int step = 0; step < count; step++) {
            int k = length.choose(1);
            if (k == 0) {
                plains++;
                clock.addAndGet(PLAIN);
                length.plain(1, PLAIN);
                continue;
            }
            int good = 0;
            while (good < k && random.nextDouble() < right) {
                good++;
            }
            long drafting = (long) (k * draft * PLAIN);
            long all = drafting + (long) (PLAIN * (1 + 0.05 * k));
            clock.addAndGet(all);
            length.guessed(1, k, good);
            length.speculative(1, k, drafting, all, good + 1);
            guesses += k;
            drafts++;
        }
    }

    @Test
    void aGoodDraftIsUsedAtLength() {
        steps(600, 0.15, 0.95);
        assertThat(length.counts().active()).as("seed %d", SEED).isTrue();
        assertThat(length.counts().speedup()).isBetween(2.0, 4.0);
        assertThat(guesses / (double) drafts).isBetween(5.0, 8.0);
        assertThat(plains / 600.0).isCloseTo(1.0 / 17, within(0.02));
    }

    @Test
    void aPoorDraftGuessesLittle() {
        steps(600, 0.15, 0.5);
        assertThat(length.counts().speedup()).isBetween(1.05, 1.6);
        assertThat(guesses / (double) drafts).isBetween(1.0, 3.0);
    }

    @Test
    void whatCostsMoreThanItBringsIsSwitchedOffAndTriedAgain() {
        steps(400, 0.9, 0.3);
        SpeculationCounts counts = length.counts();
        assertThat(counts.active()).isFalse();
        assertThat(counts.switchedOff()).isEqualTo(1);
        assertThat(counts.speedup()).isLessThan(1);
        assertThat(length.off(1)).isTrue();
        assertThat(length.off(8)).as("more sequences are another matter").isFalse();
        long before = drafts;
        clock.addAndGet(Duration.ofSeconds(6).toNanos());
        steps(100, 0.9, 0.3);
        assertThat(drafts).isGreaterThan(before);
        assertThat(length.counts().switchedOff()).isEqualTo(2);
        clock.addAndGet(Duration.ofSeconds(11).toNanos());
        steps(400, 0.15, 0.95);
        assertThat(length.counts().active()).isTrue();
        assertThat(length.counts().speedup()).isGreaterThan(1.5);
    }

    @Test
    void rightGuessesCountByPlace() {
        length.guessed(1, 4, 2);
        length.guessed(1, 3, 3);
        SpeculationCounts counts = length.counts();
        assertThat(counts.drafts()).isEqualTo(2);
        assertThat(counts.draftTokens()).isEqualTo(7);
        assertThat(counts.acceptedTokens()).isEqualTo(5);
        assertThat(counts.acceptedAt()).containsExactly(2L, 2L, 1L, 0L, 0L, 0L, 0L, 0L);
        assertThat(counts.acceptance()).isCloseTo(5 / 7.0, within(1e-12));
    }
}
