package dev.lithe.technique.distill;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/// A student before the windows of a text: at some steps of the text, at others as it would go on
/// with them itself.
final class Imitation implements Problem {
    private static final long DRAWS = 7919;

    private final Gradient gradient;
    private final FlatModel student;
    private final Batches batches;
    private final Objective objective;
    private final Schedule schedule;
    private final @Nullable TeacherTop top;

    /// @param top what the teacher says of all windows; null to ask it at every step
    Imitation(
            Gradient gradient,
            FlatModel student,
            Batches batches,
            Objective objective,
            Schedule schedule,
            @Nullable TeacherTop top) {
        this.gradient = gradient;
        this.student = student;
        this.batches = batches;
        this.objective = objective;
        this.schedule = schedule;
        this.top = top;
    }

    @Override
    public Value leaves() {
        return gradient.leaves();
    }

    @Override
    public Value sum() {
        return gradient.sum();
    }

    @Override
    public void clear() {
        gradient.clear();
    }

    @Override
    public double add(int step) {
        long[][] windows = batches.batch(step);
        var random = new Random(DRAWS * schedule.seed() + step);
        boolean own = random.nextDouble() < objective.onPolicy();
        return gradient.add(own ? continued(windows, random) : windows, top);
    }

    /// The first halves of `windows`, and how the student goes on from there.
    private long[][] continued(long[][] windows, Random random) {
        int length = windows[0].length;
        int begun = Math.max(1, length / 2);
        float[] draws = new float[windows.length * (length - begun)];
        for (int i = 0; i < draws.length; i++) {
            draws[i] = random.nextFloat();
        }
        long[][] beginnings = new long[windows.length][];
        for (int i = 0; i < windows.length; i++) {
            beginnings[i] = Arrays.copyOf(windows[i], begun);
        }
        try (var step = TensorScope.open()) {
            List<Object> arguments = new ArrayList<>();
            arguments.add(Batches.ids(beginnings, step));
            arguments.add(step.tensor(draws, windows.length, length - begun));
            arguments.addAll(student.arguments());
            arguments.add(1.0);
            long[] ids = step.call("train_sample", arguments.toArray()).longs();
            long[][] all = new long[windows.length][];
            for (int i = 0; i < windows.length; i++) {
                all[i] = Arrays.copyOfRange(ids, i * length, (i + 1) * length);
            }
            return all;
        }
    }

    @Override
    public double heldOut() {
        return gradient.loss(batches.heldOut(), top);
    }

    @Override
    public int tokens() {
        return batches.tokens();
    }
}
