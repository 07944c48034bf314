package dev.lithe.technique.distill;

import dev.lithe.calibrate.Workbench;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// The training loop: AdamW with moments β1 0.9 and β2 0.95 and no decay, gradients cut to length
/// 1, the rate of a [Schedule].
///
/// Every twentieth of the steps it judges by the windows held out, and keeps what was best; after
/// six times without a better one it stops. What is trained ends as the best, so it never ends
/// worse than it began. There too it writes a [Snapshot]; on one thread a training that was killed
/// makes the same numbers as one that was not.
final class Training {
    private static final int TIMES = 20;
    private static final int PATIENCE = 6;
    private static final int REHEARSALS = 3;
    private static final double LONGEST_GRADIENT = 1;

    private final Problem problem;
    private final Schedule schedule;
    private final Workbench bench;
    private final Value first;
    private final Value second;
    private final Value counters;
    private final Value kept;
    private final List<Value> state = new ArrayList<>();
    private final int every;
    private final Curve curve;

    private double best;
    private int bestStep;
    private int begun;
    private long start;

    /// @param scope owns the moments
    Training(Problem problem, Schedule schedule, Workbench bench, TensorScope scope) {
        this.problem = problem;
        this.schedule = schedule;
        this.bench = bench;
        this.every = Math.max(1, schedule.steps() / TIMES);
        this.curve = new Curve(schedule.steps(), every);
        List<Value> leaves = problem.leaves().members();
        this.first = zeros(scope);
        this.second = zeros(scope);
        this.kept = zeros(scope);
        List<Value> counts = new ArrayList<>();
        for (int i = 0; i < leaves.size(); i++) {
            counts.add(scope.tensor(new float[1]));
        }
        this.counters = scope.list(counts);
        List.of(leaves, first.members(), second.members(), counts, kept.members())
                .forEach(state::addAll);
    }

    private Value zeros(TensorScope scope) {
        return scope.list(scope.train("train_zeros", problem.leaves()));
    }

    /// Trains.
    ///
    /// @return how the losses fell
    Curve run() {
        rehearse();
        int step = begin();
        begun = step;
        start = System.nanoTime();
        while (step < schedule.steps() && step - bestStep < PATIENCE * every) {
            double loss = problem.add(step);
            update(step, loss);
            curve.step(step, loss);
            step++;
            if (step % every == 0 || step == schedule.steps()) {
                judge(step);
                save(step);
            }
            bench.listener().step(step, schedule.steps(), note(step, loss));
        }
        copy(problem.leaves(), kept);
        return curve;
    }

    /// libtorch compiles what it runs after watching it, and what it compiled rounds otherwise: a
    /// process that takes a training up must not meet its first step with other code than one that
    /// has been at it for long.
    private void rehearse() {
        for (int i = 0; i < REHEARSALS; i++) {
            double _ = problem.add(0);
            double _ = problem.heldOut();
        }
        problem.clear();
    }

    /// Where an earlier run broke off, or at the start.
    private int begin() {
        Path file = bench.unfinished();
        Snapshot earlier = file == null ? null : read(file);
        if (earlier != null) {
            best = earlier.best();
            bestStep = earlier.bestStep();
            return earlier.step();
        }
        best = Double.MAX_VALUE;
        judge(0);
        return 0;
    }

    private @Nullable Snapshot read(Path file) {
        try (var scope = TensorScope.open()) {
            List<Value> all = new ArrayList<>(state);
            all.add(curve.tensor(scope));
            Snapshot earlier = Snapshot.read(file, all);
            if (earlier != null) {
                curve.restore(all.getLast());
            }
            return earlier;
        }
    }

    private void save(int step) {
        @Nullable Path file = bench.unfinished();
        if (file != null) {
            try (var scope = TensorScope.open()) {
                List<Value> all = new ArrayList<>(state);
                all.add(curve.tensor(scope));
                new Snapshot(step, best, bestStep).write(file, all);
            }
        }
    }

    private void judge(int step) {
        double loss = problem.heldOut();
        curve.heldOut(step, loss);
        if (loss < best) {
            best = loss;
            bestStep = step;
            copy(kept, problem.leaves());
        }
    }

    private static void copy(Value to, Value from) {
        try (var scope = TensorScope.open()) {
            Value _ = scope.call("train_copy", to, from);
        }
    }

    private void update(int step, double loss) {
        try (var scope = TensorScope.open()) {
            double length =
                    scope.call(
                                    "train_update",
                                    problem.leaves(),
                                    problem.sum(),
                                    first,
                                    second,
                                    counters,
                                    schedule.rate(step),
                                    LONGEST_GRADIENT)
                            .number();
            if (!Double.isFinite(loss) || !Double.isFinite(length)) {
                throw LitheException.badInput(
                        "the loss is no number any more at step %d; lower learning_rate (now %s)",
                        step, schedule.learningRate());
            }
        }
    }

    private String note(int step, double loss) {
        double seconds = (System.nanoTime() - start) / 1e9;
        int done = step - begun;
        double tokens = (double) done * problem.tokens();
        return String.format(
                Locale.ROOT,
                "loss %.4f, held out %.4f at best · %.0f tokens/s · about %.0f s left",
                loss,
                best,
                tokens / seconds,
                seconds * (schedule.steps() - step) / done);
    }

    /// The least loss on what was held out.
    double best() {
        return best;
    }
}
