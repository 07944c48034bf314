package dev.lithe.engine;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// Which model computes next. Models that have work get the machine in proportion to their weights,
/// by measured time: each has a clock that runs while it computes, slower the larger its weight, and
/// the one that is behind goes first (start-time fair queueing, Goyal et al. 1996). One that had
/// nothing to do saves up nothing. Belongs to the engine's thread.
final class Scheduler {
    private static final class Turn {
        private final Lane lane;
        private double weight = 1;
        private double clock;
        private boolean idle = true;

        Turn(Lane lane) {
            this.lane = lane;
        }
    }

    private final Map<Object, Turn> turns = new LinkedHashMap<>();

    /// When the work that was chosen last began, on the models' clocks.
    private double now;

    void add(Object model, Lane lane) {
        turns.put(model, new Turn(lane));
    }

    /// The lane of a model, if it has one.
    Optional<Lane> lane(Object model) {
        return Optional.ofNullable(turns.get(model)).map(turn -> turn.lane);
    }

    Collection<Lane> lanes() {
        return turns.values().stream().map(turn -> turn.lane).toList();
    }

    void weigh(Object model, double weight) {
        Turn turn = turns.get(model);
        if (turn != null) {
            turn.weight = weight;
        }
    }

    /// Lets the lane that is due compute a little.
    ///
    /// @return whether any had work
    boolean step() {
        Turn due = null;
        for (Turn turn : turns.values()) {
            boolean idle = !turn.lane.ready();
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
        long start = System.nanoTime();
        due.lane.step();
        due.clock += (System.nanoTime() - start) / due.weight;
        return true;
    }
}
