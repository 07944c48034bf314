package dev.lithe.technique.distill;

import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The loss of a student on windows, and its gradient in what is trained, gathered a few windows at
/// a time so that what a recording keeps stays in bounds.
final class Gradient {
    /// Bytes that a recording may keep.
    private static final long MOST_BYTES = 1L << 30;

    private final FlatModel student;
    private final List<Value> models;
    private final Value objective;
    private final Value noTop;
    private final Value sum;
    private final int most;

    /// @param teacher null where the objective asks none
    /// @param context tokens of a window
    Gradient(
            FlatModel student,
            @Nullable FlatModel teacher,
            Objective objective,
            int context,
            TensorScope scope) {
        this.student = student;
        this.models = new ArrayList<>(student.arguments());
        models.addAll((teacher == null ? student : teacher).arguments());
        this.noTop = scope.list(List.of(scope.call("empty", new long[] {0})));
        this.objective = objective.numbers(scope);
        Value leaves = student.leaves();
        boolean learns = !leaves.members().isEmpty();
        this.sum = learns ? scope.list(scope.train("train_zeros", leaves)) : leaves;
        this.most = atOnce(student.spec(), teacher != null, context);
    }

    /// Windows that are recorded together.
    private static int atOnce(ModelSpec spec, boolean taught, int context) {
        return Math.clamp(MOST_BYTES / bytes(spec, taught, context), 1, 1 << 16);
    }

    /// Roughly what the recording of `windows` keeps at a time.
    ///
    /// @param taught whether a teacher is asked
    static long recordedBytes(ModelSpec spec, boolean taught, int context, int windows) {
        return Math.min(windows, atOnce(spec, taught, context)) * bytes(spec, taught, context);
    }

    /// Roughly what a recording of one window keeps: its blocks, and its scores, with the teacher's
    /// and what is made of both.
    private static long bytes(ModelSpec spec, boolean taught, int context) {
        long scores = (taught ? 10L : 3L) * spec.vocabSize();
        return blockBytes(spec, context) * spec.layers() + (long) Float.BYTES * context * scores;
    }

    /// Of one block: per token its stream, its heads' inputs and outputs, and its channels, several
    /// times over.
    static long blockBytes(ModelSpec spec, int context) {
        long heads = (spec.heads() + 2L * spec.kvHeads()) * spec.headDim();
        long block = 8L * spec.hiddenSize() + 5 * heads + 6L * spec.intermediateSize();
        return Float.BYTES * context * block;
    }

    /// The gradient gathered so far, a tensor for each leaf.
    Value sum() {
        return sum;
    }

    /// Forgets what was gathered.
    void clear() {
        try (var step = TensorScope.open()) {
            Value _ = step.call("train_clear", sum);
        }
    }

    /// Adds the gradient of the mean loss on `windows`.
    ///
    /// @param top what the teacher says there; null to ask it
    /// @return that loss
    double add(long[][] windows, @Nullable TeacherTop top) {
        double loss = 0;
        for (int first = 0; first < windows.length; first += most) {
            long[][] some = part(windows, first);
            double weight = (double) some.length / windows.length;
            try (var step = TensorScope.open()) {
                List<Value> arguments = arguments(some, top, step);
                arguments.add(step.tensor(new float[] {(float) weight}, 1));
                arguments.add(student.leaves());
                arguments.add(sum);
                Value mean =
                        step.train("train_gradient", arguments.toArray(Value[]::new)).getFirst();
                loss += weight * mean.floats()[0];
            }
        }
        return loss;
    }

    /// The mean loss on `windows`.
    ///
    /// @param top what the teacher says there; null to ask it
    double loss(long[][] windows, @Nullable TeacherTop top) {
        double loss = 0;
        for (int first = 0; first < windows.length; first += most) {
            long[][] some = part(windows, first);
            try (var step = TensorScope.open()) {
                Object[] arguments = arguments(some, top, step).toArray();
                loss += step.call("train_loss", arguments).number() * some.length / windows.length;
            }
        }
        return loss;
    }

    private long[][] part(long[][] windows, int first) {
        return Arrays.copyOfRange(windows, first, Math.min(windows.length, first + most));
    }

    private List<Value> arguments(long[][] windows, @Nullable TeacherTop top, TensorScope step) {
        List<Value> arguments = new ArrayList<>(List.of(Batches.ids(windows, step)));
        arguments.addAll(models);
        arguments.add(top == null ? noTop : top.of(windows, step));
        arguments.add(objective);
        return arguments;
    }

    /// What is trained.
    Value leaves() {
        return student.leaves();
    }
}
