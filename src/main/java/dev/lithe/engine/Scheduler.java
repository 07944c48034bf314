package dev.lithe.engine;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;

/// Which model computes next. Models that have work get the machine in proportion to their weights,
/// by measured time: each has a clock that runs while it computes, slower the larger its weight,
/// and the one that is behind goes first (start-time fair queueing, Goyal et al. 1996). One that
/// had nothing to do saves up nothing. Belongs to the engine's thread.
///
/// @param <W> what computes
final class Scheduler<W extends Scheduler.Work> {
    /// What takes turns.
    interface Work {
        /// Whether there is anything to compute.
        boolean ready();

        /// Computes a little.
        void step();
    }

    private static final class Turn<W> {
        private final W work;
        private double weight = 1;
        private double clock;
        private boolean idle = true;

        Turn(W work) {
            this.work = work;
        }
    }

    private final Map<Object, Turn<W>> turns = new LinkedHashMap<>();
    private final LongSupplier nanoTime;

    /// Where the clock stood of what was chosen last.
    private double now;

    Scheduler(LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
    }

    /// Adds work with weight 1.
    ///
    /// @param key what it is found by
    void add(Object key, W work) {
        turns.put(key, new Turn<>(work));
    }

    Optional<W> find(Object key) {
        return Optional.ofNullable(turns.get(key)).map(turn -> turn.work);
    }

    Collection<W> all() {
        return turns.values().stream().map(turn -> turn.work).toList();
    }

    /// Changes the share of one that is known.
    ///
    /// @param weight above 0
    void weigh(Object key, double weight) {
        Turn<W> turn = turns.get(key);
        if (turn != null) {
            turn.weight = weight;
        }
    }

    /// Lets the one that is due compute a little.
    ///
    /// @return whether any had work
    boolean step() {
        Turn<W> due = null;
        for (Turn<W> turn : turns.values()) {
            boolean idle = !turn.work.ready();
            if (!idle && turn.idle) {
                turn.clock = Math.max(turn.clock, now);
            }
            turn.idle = idle;
            if (!idle && (due == null || turn.clock < due.clock)) {
                due = turn;
            }
        }
        if (due == null) {
            return false;
        }
        now = due.clock;
        long start = nanoTime.getAsLong();
        due.work.step();
        due.clock += (nanoTime.getAsLong() - start) / due.weight;
        return true;
    }
}
