package dev.lithe.technique.distill;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A training from the model that a recipe has made to the one that it leaves.
///
/// @param rank of the adapters that are trained; 0 for all weights
record Lesson(Objective objective, Schedule schedule, int rank) {
    private static final String TOKENIZER = "tokenizer.json";

    /// Teaches `student`, which stays as it is.
    ///
    /// @param model the one that the stage was given: its windows, its original
    /// @return one of the student's shapes
    WholeModel teach(WholeModel model, WholeModel student) {
        if (!objective.needsTeacher()) {
            return learn(model, student, null);
        }
        Checkpoint original = model.bench().original();
        try (WholeModel teacher = WholeModel.open(original, null)) {
            requireSameTokens(model, teacher);
            return learn(model, student, teacher);
        }
    }

    private WholeModel learn(WholeModel model, WholeModel student, @Nullable WholeModel teacher) {
        CalibrationSet set = model.windows().whole(model.folder());
        var batches = new Batches(set, schedule.batch(), schedule.seed());
        int context = set.context();
        try (var scope = TensorScope.open()) {
            FlatModel pupil =
                    FlatModel.trained(
                            student, rank, schedule.seed(), context, schedule.precision(), scope);
            FlatModel oracle =
                    teacher == null
                            ? null
                            : FlatModel.frozen(teacher, context, schedule.precision(), scope);
            var gradient = new Gradient(pupil, oracle, objective, context, scope);
            new Training(gradient, batches, schedule, model.bench(), scope).run();
            WholeModel made = student.reshaped(student.config());
            pupil.into(made, student);
            return made;
        }
    }

    private static void requireSameTokens(WholeModel model, WholeModel teacher) {
        int ours = model.spec().vocabSize();
        int theirs = teacher.spec().vocabSize();
        if (ours != theirs || !sameTokenizer(model.folder(), teacher.folder())) {
            throw LitheException.badInput(
                    "the original's %d tokens are other ones than this model's %d, so it cannot be its teacher;"
                            + " choose loss ce, or put the stage before the one that changes tokens",
                    theirs, ours);
        }
    }

    private static boolean sameTokenizer(Path ours, Path theirs) {
        Path file = ours.resolve(TOKENIZER);
        Path other = theirs.resolve(TOKENIZER);
        try {
            return !Files.exists(file) || !Files.exists(other) || Files.mismatch(file, other) < 0;
        } catch (IOException e) {
            throw LitheException.badInput("%s cannot be read: %s", file, e.getMessage())
                    .causedBy(e);
        }
    }
}
