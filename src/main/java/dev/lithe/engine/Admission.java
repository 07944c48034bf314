package dev.lithe.engine;

import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.function.Function;

/// The sequences that wait, and which of them is begun next. Belongs to the engine's thread, but
/// for [#offer], [#remove] and [#size].
final class Admission {
    private final EngineLimits limits;
    private final CacheMemory memory;
    private final ScoreQueue scores;
    private final Function<ServedModel, Lane> lanes;
    private final Collection<Lane> known;
    private final BlockingQueue<Sequence> waiting;

    /// The one that nobody waits for.
    private final BlockingQueue<Sequence> background = new ArrayBlockingQueue<>(1);

    /// @param lanes finds a model's lane, or opens it
    /// @param known those that are open
    Admission(
            EngineLimits limits,
            CacheMemory memory,
            ScoreQueue scores,
            Function<ServedModel, Lane> lanes,
            Collection<Lane> known) {
        this.limits = limits;
        this.memory = memory;
        this.scores = scores;
        this.lanes = lanes;
        this.known = known;
        this.waiting = new ArrayBlockingQueue<>(limits.queue());
    }

    private BlockingQueue<Sequence> queueOf(Sequence sequence) {
        return sequence.inBackground() ? background : waiting;
    }

    /// @return whether there was a place in its queue
    boolean offer(Sequence sequence) {
        return queueOf(sequence).offer(sequence);
    }

    /// @return whether it still waited
    boolean remove(Sequence sequence) {
        return queueOf(sequence).remove(sequence);
    }

    /// Sequences that wait and that somebody waits for.
    int size() {
        return waiting.size();
    }

    /// Whether none waits, not even in the background.
    boolean isEmpty() {
        return waiting.isEmpty() && background.isEmpty();
    }

    /// Ends those that must not go on.
    void dropWithdrawn() {
        for (BlockingQueue<Sequence> queue : List.of(waiting, background)) {
            for (Sequence sequence : queue) {
                Optional<LitheException> reason = sequence.withdrawn();
                if (reason.isPresent() && queue.remove(sequence)) {
                    sequence.fail(reason.get());
                }
            }
        }
    }

    /// Begins those whose model has a place, as long as memory lasts: one that finds none holds up
    /// those behind it, or it would wait for ever; so does a text to score that came before it.
    /// What runs in the background gives way.
    void admit() {
        if (scores.hungry()) {
            makeWay();
        }
        for (Sequence next : waiting) {
            Optional<Lane> lane = laneOf(next);
            if (lane.isEmpty() || !place(lane.get())) {
                continue;
            }
            if (scores.hungrySince(next.arrived()) || !room(next)) {
                break;
            }
            if (waiting.remove(next)) {
                lane.get().admit(next);
            }
        }
        admitInBackground();
    }

    private boolean place(Lane lane) {
        while (lane.running().size() >= limits.running()) {
            if (!lane.makeWay()) {
                return false;
            }
        }
        return true;
    }

    private boolean room(Sequence next) {
        while (!memory.fits(next.request().cacheBytes())) {
            if (!makeWay()) {
                return false;
            }
        }
        return true;
    }

    /// Begins the one that nobody waits for, unless somebody waits for anything.
    private void admitInBackground() {
        Sequence next = background.peek();
        if (next == null || !waiting.isEmpty() || scores.hungry()) {
            return;
        }
        laneOf(next)
                .filter(lane -> lane.running().size() < limits.running())
                .filter(_ -> memory.fits(next.request().cacheBytes()) && background.remove(next))
                .ifPresent(lane -> lane.admit(next));
    }

    /// Ends one that runs in the background.
    ///
    /// @return whether there was one
    private boolean makeWay() {
        return known.stream().anyMatch(Lane::makeWay);
    }

    /// Ends all that nobody waits for.
    void endBackground(LitheException reason) {
        end(background, reason);
        while (makeWay()) {
            // each ends
        }
    }

    /// Ends all that wait.
    void endAll(LitheException reason) {
        end(waiting, reason);
        end(background, reason);
    }

    private static void end(BlockingQueue<Sequence> queue, LitheException reason) {
        List<Sequence> left = new ArrayList<>();
        queue.drainTo(left);
        left.forEach(each -> each.fail(reason));
    }

    /// The lane of a sequence that waits; one whose model cannot even be measured ends.
    private Optional<Lane> laneOf(Sequence next) {
        try {
            return Optional.of(lanes.apply(next.request().model()));
        } catch (LitheException e) {
            if (remove(next)) {
                next.fail(e);
            }
            return Optional.empty();
        }
    }
}
