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

    /// A [Snapshot] has moments, the best so far and what is trained, and the next is written
    /// beside it.
    private static final int BYTES_KEPT = 2 * 4 * Float.BYTES;

    /// Matrix products of a training step that go back for each that goes forth.
    private static final int BACK = 2;

    /// The time of a step by that of its matrix products, on two cores.
    private static final double OTHERS = 3;

    /// Looks at what is held out, at most.
    private static final int LOOKS = 24;

    /// Steps, and looks, before the first that counts.
    private static final int REHEARSED = 3;

    /// Of the whole model at each step.
    Effort whole() {
        long memory = models() + BYTES_TRAINED * trained();
        int windows = Math.max(schedule.batch(), Batches.MOST_HELD_OUT);
        long forth = Gradient.recordedBytes(student, teacher != null, context, windows);
        memory += teacher == null ? forth : forth + forth / 2; // the teacher's pass too
        double asked = teacher == null ? 0 : 2 * (tokens() + looked()) * weights(teacher);
        return new Effort(OTHERS * (operations() + asked), memory, BYTES_KEPT * trained());
    }

    /// Of one block after the other, each on streams of `samples` windows.
    Effort blockByBlock(int samples) {
        long tokens = (long) samples * context;
        long streams = 4L * Float.BYTES * student.hiddenSize() * tokens;
        long memory = models() + streams + BYTES_TRAINED * trained() / student.layers();
        memory += rank == 0 ? Float.BYTES * student.parameters() : 0;
        int windows = Math.max(schedule.batch(), Batches.MOST_HELD_OUT);
        memory += windows * Gradient.blockBytes(student, context) * 3 / 2;
        double asked = teacher == null ? 0 : 2.0 * tokens * weights(teacher);
        return new Effort(OTHERS * (operations() + asked), memory, 0);
    }

    private double tokens() {
        return (double) (schedule.steps() + REHEARSED) * schedule.batch() * context;
    }

    /// Tokens of all looks at what is held out.
    private double looked() {
        int looks = Math.min(schedule.steps(), LOOKS) + REHEARSED;
        return (double) looks * Batches.MOST_HELD_OUT * context;
    }

    private double operations() {
        double frozen = weights(student) + adapters();
        double back = rank == 0 ? BACK * frozen : weights(student) + BACK * adapters();
        return 2 * (tokens() * (frozen + back) + looked() * frozen);
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
