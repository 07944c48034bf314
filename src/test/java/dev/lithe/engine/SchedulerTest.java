package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

/// Shares of the time, on a clock that only work moves.
class SchedulerTest {
    private long clock;
    private final Scheduler<Job> scheduler = new Scheduler<>(() -> clock);

    private final class Job implements Scheduler.Work {
        private final long cost;
        private boolean ready = true;
        private long used;

        Job(long cost) {
            this.cost = cost;
            scheduler.add(this, this);
        }

        @Override
        public boolean ready() {
            return ready;
        }

        @Override
        public void step() {
            used += cost;
            clock += cost;
        }
    }

    private void run(long until) {
        while (clock < until && scheduler.step()) {
            // each moves the clock
        }
    }

    @Test
    void sharesTimeNotTurns() {
        var slow = new Job(9);
        var fast = new Job(2);
        run(100_000);
        assertThat(slow.used).isCloseTo(fast.used, within(10L));
    }

    @Test
    void sharesByWeight() {
        var heavy = new Job(5);
        var light = new Job(3);
        scheduler.weigh(heavy, 3);
        run(100_000);
        assertThat(heavy.used).isCloseTo(3 * light.used, within(20L));
    }

    @Test
    void savesUpNothingWhileIdle() {
        var busy = new Job(4);
        var late = new Job(4);
        late.ready = false;
        run(50_000);
        late.ready = true;
        run(60_000);
        assertThat(late.used).isCloseTo(5_000L, within(8L));
        assertThat(busy.used).isCloseTo(55_000L, within(8L));
    }

    @Test
    void hasNothingToDo() {
        new Job(1).ready = false;
        assertThat(scheduler.step()).isFalse();
    }
}
