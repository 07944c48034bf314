package dev.lithe.technique.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.distill.Distill.Config;
import dev.lithe.technique.distill.StudentShape.Start;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DistillTest extends ModelTechniqueContract<Config> {
    private final Distill distill = new Distill();

    @Override
    protected ModelTechnique<Config> technique() {
        return distill;
    }

    private static Config config(
            int layers, int hiddenSize, Start start, int steps, Objective objective, DType type) {
        return new Config(
                new StudentShape(layers, hiddenSize, 0, 0, 0),
                start,
                new Schedule(steps, 2, 1e-3, 1, type),
                objective);
    }

    @Override
    protected List<Config> configurations() {
        Objective mixed = new Objective(0.5, 2, 0.5);
        return List.of(
                config(0, 0, Start.TEACHER, 2, new Objective(0, 1, 0), DType.F32),
                config(2, 0, Start.TEACHER, 2, mixed, DType.BF16),
                config(2, 16, Start.TEACHER, 2, new Objective(0, 1, 0.5, 1, 0, 0), DType.F32),
                config(0, 0, Start.RANDOM, 2, new Objective(1, 1, 0, 0, 1, 0), DType.F32),
                config(3, 0, Start.TEACHER, 2, new Objective(0, 2, 0, 0, 0, 9), DType.F32));
    }

    @Test
    void studentsBeginAsBlocksFarApart() {
        assertThat(StudentShape.spaced(6, 3)).containsExactly(0, 3, 5);
        assertThat(StudentShape.spaced(6, 2)).containsExactly(0, 5);
        assertThat(StudentShape.spaced(4, 1)).containsExactly(0);
    }

    @Test
    void aStudentHasAttentionSomewhere(@TempDir Path folder) throws IOException {
        var some = new Sublayers(List.of(0, 3, 5), List.of());
        assertThat(StudentShape.chosen(Sublayers.ALL, 6, 3)).containsExactly(0, 3, 5);
        assertThat(StudentShape.chosen(some, 6, 3)).containsExactly(1, 3, 5);
        assertThat(StudentShape.chosen(some, 6, 4)).containsExactly(0, 2, 3, 5);
        var last = new Sublayers(List.of(0, 1, 2), List.of());
        assertThat(StudentShape.chosen(last, 4, 1)).containsExactly(3);
        Config config = config(2, 0, Start.TEACHER, 2, new Objective(0, 1, 0), DType.F32);
        TinyModel model = model().without(List.of(0, 3), List.of(1));
        ObjectNode planned = model.config();
        distill.configure(planned, config);
        assertThat(ModelSpec.of(planned, "plan").sublayers())
                .isEqualTo(new Sublayers(List.of(1), List.of(0)));
        try (Checkpoint source = Checkpoint.open(model.write(folder));
                WholeModel whole = WholeModel.open(source, windows(300), bench(source));
                WholeModel student = distill.apply(whole, config)) {
            assertThat(student.spec().sublayers()).isEqualTo(new Sublayers(List.of(1), List.of(0)));
        }
    }

    @Test
    void refusesWhatCannotBe() {
        Objective kl = new Objective(0, 1, 0);
        assertThatThrownBy(() ->
                        distill.configure(
                                model().config(), config(5, 0, Start.TEACHER, 2, kl, DType.F32)))
                .hasMessageContaining("layers is 5, and the model has 4 blocks");
        assertThatThrownBy(() -> new Objective(2, 1, 0))
                .hasMessageContaining("beta is 2.0; choose 0 to 1");
        assertThatThrownBy(() -> new Objective(0, 1, 0, -1, 0, 0))
                .hasMessageContaining("hidden is -1.0");
        assertThatThrownBy(() -> new Objective(0, 1, 0, 0, 2, 0))
                .hasMessageContaining("on_policy is 2.0; choose 0 to 1");
        assertThatThrownBy(() -> new Objective(0, 1, 0.5, 0, 0.5, 0))
                .hasMessageContaining("no text to learn");
        assertThatThrownBy(() -> new Objective(0, 1, 0, 0, 0.5, 8))
                .hasMessageContaining("what the student will say cannot be asked");
        assertThatThrownBy(() -> new Objective(0, 1, 0, 1, 0, 8))
                .hasMessageContaining("teacher_top is 8, which goes with a divergence");
        var q = new LinearName("q", 0, LinearName.Slot.QKV, 32, 8, false);
        var thin = new LinearForm.LowRank(new LinearForm.Dense(DType.F32), 2);
        assertThatThrownBy(() ->
                        distill.outcome(
                                ModelSpec.of(model().config(), "tiny"),
                                q,
                                thin,
                                config(2, 0, Start.TEACHER, 2, kl, DType.F32)))
                .hasMessageContaining("a student of another shape is made of dense ones");
    }

    /// All of a teacher's tokens kept say what the teacher says.
    @Test
    void whatIsKeptOfTheTeacherIsWhatItSays(@TempDir Path folder) throws IOException {
        try (var scope = TensorScope.open();
                Checkpoint one = Checkpoint.open(model().write(folder.resolve("one")));
                Checkpoint other = Checkpoint.open(model().seed(4).write(folder.resolve("other")));
                WholeModel pupil = WholeModel.open(one, null);
                WholeModel master = WholeModel.open(other, null)) {
            FlatModel student = FlatModel.frozen(pupil, 20, DType.F32, scope);
            FlatModel teacher = FlatModel.frozen(master, 20, DType.F32, scope);
            long[][] windows = windows(300).windows();
            var gradient = new Gradient(student, teacher, new Objective(0.3, 2, 0), 20, scope);
            double asked = gradient.loss(windows, null);
            Path file = folder.resolve("step.unfinished");
            try (var top = new TeacherTop(teacher, List.of(windows), 2, 300, file);
                    var few = new TeacherTop(teacher, List.of(windows), 2, 20, null)) {
                assertThat(gradient.loss(windows, top)).isCloseTo(asked, within(1e-3 * asked));
                // what is not told apart cannot differ
                assertThat(gradient.loss(windows, few)).isLessThan(asked).isPositive();
                assertThat(folder.resolve("step.unfinished.teacher")).isRegularFile();
            }
            assertThat(folder.resolve("step.unfinished.teacher")).doesNotExist();
        }
    }

    /// The student's own words are the ones that its forward pass makes likely.
    @Test
    void studentsGoOnByThemselves(@TempDir Path folder) throws IOException {
        try (var scope = TensorScope.open();
                Checkpoint source = Checkpoint.open(model().write(folder));
                WholeModel whole = WholeModel.open(source, null)) {
            FlatModel flat = FlatModel.frozen(whole, 20, DType.F32, scope);
            Value begun = scope.tensor(windows(300).windows()[0], 1, 20);
            Value first = scope.call("select", begun, 1, scope.tensor(new long[] {0, 1, 2}, 3));
            float[] draws = {0.1f, 0.5f, 0.9f, 0.999f};
            List<Object> arguments =
                    new ArrayList<>(List.of(first, scope.tensor(draws, 1, draws.length)));
            arguments.addAll(flat.arguments());
            arguments.add(1.0);
            long[] ids = scope.call("train_sample", arguments.toArray()).longs();
            assertThat(ids).hasSize(7).startsWith(windows(300).windows()[0][0]);
            float[] logits = flat.logits(scope.tensor(ids, 1, 7), scope).floats();
            for (int i = 0; i < draws.length; i++) {
                assertThat(ids[3 + i]).isEqualTo(drawn(logits, 300 * (2 + i), draws[i]));
            }
        }
    }

    private static long drawn(float[] logits, int from, double draw) {
        double all = 0;
        for (int i = 0; i < 300; i++) {
            all += Math.exp(logits[from + i]);
        }
        double sum = 0;
        int token = -1;
        while (sum <= draw * all) {
            token++;
            sum += Math.exp(logits[from + token]);
        }
        return token;
    }
}
