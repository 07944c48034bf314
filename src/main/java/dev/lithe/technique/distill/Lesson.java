package dev.lithe.technique.distill;

import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import dev.lithe.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A training from the model that a recipe has made to the one that it leaves.
///
/// @param stage its name in recipes
/// @param rank of the adapters that are trained; 0 for all weights
record Lesson(String stage, Objective objective, Schedule schedule, int rank) {
    private static final String TOKENIZER = "tokenizer.json";

    /// Sees the student before and after.
    interface Learned {
        /// Nothing is learned yet.
        default void begins(FlatModel student) {}

        /// All is learned.
        default void ends(FlatModel student) {}
    }

    /// What it will take.
    ///
    /// @param original the teacher's shapes, where one is asked
    Effort effort(ModelSpec original, ModelSpec student, CalibrationSet windows) {
        ModelSpec teacher = objective.needsTeacher() ? original : null;
        return new TrainingEffort(student, teacher, rank, schedule, windows.context()).whole();
    }

    /// Teaches `student`, which stays as it is.
    ///
    /// @param model the one that the stage was given: its windows, its original
    /// @return one of the student's shapes
    WholeModel teach(WholeModel model, WholeModel student) {
        return teach(model, student, model.windows().whole(model.folder()), new Learned() {});
    }

    /// The same on the windows of `set`.
    WholeModel teach(WholeModel model, WholeModel student, CalibrationSet set, Learned listener) {
        if (!objective.needsTeacher()) {
            return learn(model, student, null, set, listener);
        }
        Checkpoint original = model.bench().original();
        try (WholeModel teacher = WholeModel.open(original, null)) {
            requireSameTokens(model, teacher);
            return learn(model, student, teacher, set, listener);
        }
    }

    private WholeModel learn(
            WholeModel model,
            WholeModel student,
            @Nullable WholeModel teacher,
            CalibrationSet set,
            Learned listener) {
        var batches = new Batches(set, schedule.batch(), schedule.seed());
        int context = set.context();
        int projected =
                teacher == null || objective.hidden() == 0 ? 0 : teacher.spec().hiddenSize();
        try (var scope = TensorScope.open()) {
            FlatModel pupil =
                    FlatModel.trained(
                            student,
                            rank,
                            schedule.seed(),
                            projected,
                            context,
                            schedule.precision(),
                            scope);
            listener.begins(pupil);
            FlatModel oracle =
                    teacher == null
                            ? null
                            : FlatModel.frozen(teacher, context, schedule.precision(), scope);
            var gradient = new Gradient(pupil, oracle, objective, context, scope);
            Curve curve;
            try (TeacherTop top = top(model, oracle, batches)) {
                var problem = new Imitation(gradient, pupil, batches, objective, schedule, top);
                curve = new Training(problem, schedule, model.bench(), scope).run();
            }
            listener.ends(pupil);
            WholeModel made = student.reshaped(student.config());
            new Rebuilding(pupil, rank == 0).into(made, student);
            curve.note(made, stage, schedule.steps(), schedule.batch() * context);
            return made;
        }
    }

    private @Nullable TeacherTop top(
            WholeModel model, @Nullable FlatModel teacher, Batches batches) {
        if (teacher == null || objective.teacherTop() == 0) {
            return null;
        }
        int k = Math.min(objective.teacherTop(), teacher.spec().vocabSize());
        return new TeacherTop(
                teacher, batches.all(), objective.temperature(), k, model.bench().unfinished());
    }

    /// Refuses, before any work, a teacher with other tokens than those of a model with the shapes
    /// `before`.
    static void requireSameTokens(Checkpoint teacher, ModelSpec before) {
        int theirs = ModelSpec.of(teacher.config(), "config.json").vocabSize();
        if (theirs != before.vocabSize()) {
            throw otherTokens(theirs, before.vocabSize());
        }
    }

    private static LitheException otherTokens(int theirs, int ours) {
        return LitheException.badInput(
                "the original's %d tokens are other ones than this model's %d, so it cannot be its teacher;"
                        + " put the stage before the one that changes tokens",
                theirs, ours);
    }

    /// @throws LitheException where `teacher` has other tokens than `model`
    static void requireSameTokens(WholeModel model, WholeModel teacher) {
        int ours = model.spec().vocabSize();
        int theirs = teacher.spec().vocabSize();
        if (ours != theirs || !sameTokenizer(model.folder(), teacher.folder())) {
            throw otherTokens(theirs, ours);
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
