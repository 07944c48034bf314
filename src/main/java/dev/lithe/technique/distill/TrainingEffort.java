package dev.lithe.technique.distill;

import dev.lithe.model.Architecture;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import org.jspecify.annotations.Nullable;

/// What a training will take, by the shapes of those in it.
///
/// @param student as it will be
/// @param teacher null where none is asked
/// @param rank of the adapters that are trained; 0 for all weights
/// @param context tokens of a window
record TrainingEffort(
        ModelSpec student, @Nullable ModelSpec teacher, int rank, Schedule schedule, int context) {
    /// A master, the gradient of a step and of a batch, two moments, and the best so far.
    private static final int BYTES_TRAINED = 6 * Float.BYTES;

    /// Matrix products of a training step that go back for each that goes forth.
    private static final int BACK = 2;

    /// How much of the time of a step is in other things than matrix products, at least as much.
    private static final double OTHERS = 3;

    /// Of the whole model at each step.
    Effort whole() {
        long memory = models() + BYTES_TRAINED * trained();
        memory += recorded();
        return new Effort(operations() + asked(schedule.steps()), memory);
    }

    /// Of one block after the other, each on streams of `samples` windows.
    Effort blockByBlock(int samples) {
        long tokens = (long) samples * context;
        long streams = 4L * Float.BYTES * student.hiddenSize() * tokens;
        long memory = models() + streams + BYTES_TRAINED * trained() / student.layers();
        memory += recorded() / student.layers();
        return new Effort(operations() + asked(1), memory);
    }

    private long recorded() {
        int windows = Math.max(schedule.batch(), Batches.MOST_HELD_OUT);
        long forth = Gradient.recordedBytes(student, teacher != null, context, windows);
        return teacher == null ? forth : forth + forth / 2; // measured
    }

    private double tokens() {
        return (double) schedule.steps() * schedule.batch() * context;
    }

    private double operations() {
        int back = rank == 0 ? BACK : 1;
        return OTHERS * 2 * tokens() * (weights(student) * (1 + back) + BACK * adapters());
    }

    private double asked(int times) {
        return teacher == null
                ? 0
                : OTHERS * 2 * tokens() / schedule.steps() * times * weights(teacher);
    }

    private long models() {
        long frozen = teacher == null ? 0 : teacher.parameters() * schedule.precision().bytes();
        return frozen + (rank == 0 ? 0 : Float.BYTES * student.parameters());
    }

    private long trained() {
        return rank == 0 ? student.parameters() : adapters();
    }

    private long adapters() {
        long numbers = 0;
        for (LinearName linear : Architecture.linears(student)) {
            numbers +=
                    linear.block() < 0
                            ? 0
                            : (long) rank * (linear.inFeatures() + linear.outFeatures());
        }
        return numbers;
    }

    private static double weights(ModelSpec spec) {
        return Architecture.linears(spec).stream().mapToDouble(LinearName::weights).sum();
    }
}
