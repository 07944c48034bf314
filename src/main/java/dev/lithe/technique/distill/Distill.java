package dev.lithe.technique.distill;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.technique.distill.StudentShape.Start;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.Machine;

/// Trains a student on what its teacher, the model that the recipe started from, predicts (Hinton,
/// Vinyals, Dean, arXiv 1503.02531; the divergences between KL and its reverse, and the student's
/// own words: Agarwal et al., "GKD", arXiv 2306.13649).
///
/// The student is what the recipe has made so far; or with `layers` that many of its blocks, evenly
/// spaced, the first and the last among them (Sanh et al., "DistilBERT", arXiv 1910.01108, take
/// every other one); or with other widths a fresh one, which begins as the model where shapes agree
/// and random elsewhere (`start: random`: everywhere). All of its weights learn; [Objective] is what
/// is made small.
///
///     distill: {layers: 3, steps: 1000, batch: 8, learning_rate: 1e-3, beta: 0, temperature: 1,
///       cross_entropy: 0, hidden: 0, on_policy: 0, teacher_top: 0, seed: 0}
///     distill: {layers: 4, hidden_size: 192, intermediate_size: 512, heads: 6, hidden: 1}
///
/// `beta` 0 is KL(teacher || student), 1 its reverse. `hidden` weighs the distance of the streams
/// behind the blocks; `on_policy` is the share of steps on text that the student writes itself, which
/// take several times as long; `teacher_top: 64` asks the teacher once per window and keeps its 64
/// likeliest tokens on the disk. What is 0 among the shapes stays as it is, and so does the width of
/// a head. It is [Heal] with rank 0, other losses and a choice of student, by the same loop; a
/// student of another shape is made of dense linears, and teacher and student have equal tokens.
@AutoService(Technique.class)
public final class Distill implements ModelTechnique<Distill.Config> {
    /// @param layers blocks of the student
    /// @param hiddenSize width of its stream
    /// @param intermediateSize its channels
    /// @param heads its heads
    /// @param kvHeads its groups of heads
    /// @param start what it begins as, where it has another shape
    /// @param steps of AdamW
    /// @param batch windows that a step looks at
    /// @param learningRate the highest
    /// @param beta which divergence, from 0, KL(teacher || student), to 1, its reverse
    /// @param temperature that logits are divided by before they are compared
    /// @param crossEntropy share of the loss on the text's own tokens
    /// @param hidden weight of the distance of the streams
    /// @param onPolicy share of the steps on the student's own words
    /// @param teacherTop likeliest tokens of the teacher that are kept; 0 to ask it at every step
    /// @param seed of the windows' order, and of what begins random
    /// @param precision of the multiplications, `bfloat16`, usual where the processor multiplies
    ///   it, or `float32`
    public record Config(
            int layers,
            int hiddenSize,
            int intermediateSize,
            int heads,
            int kvHeads,
            Start start,
            int steps,
            int batch,
            double learningRate,
            double beta,
            double temperature,
            double crossEntropy,
            double hidden,
            double onPolicy,
            int teacherTop,
            long seed,
            DType precision) {
        public Config {
            var _ = new StudentShape(layers, hiddenSize, intermediateSize, heads, kvHeads);
            var _ = new Schedule(steps, batch, learningRate, seed, precision);
            var _ = new Objective(beta, temperature, crossEntropy, hidden, onPolicy, teacherTop);
        }

        StudentShape shape() {
            return new StudentShape(layers, hiddenSize, intermediateSize, heads, kvHeads);
        }

        boolean startsAnew() {
            return start == Start.RANDOM || !shape().isSame();
        }

        Lesson lesson() {
            return new Lesson(
                    "distill",
                    new Objective(beta, temperature, crossEntropy, hidden, onPolicy, teacherTop),
                    new Schedule(steps, batch, learningRate, seed, precision),
                    0);
        }
    }

    @Override
    public String name() {
        return "distill";
    }

    @Override
    public Family family() {
        return Family.DISTILLATION;
    }

    @Override
    public String summary() {
        return "train a smaller student on what the original model predicts";
    }

    @Override
    public Config defaults() {
        return new Config(
                0,
                0,
                0,
                0,
                0,
                Start.TEACHER,
                1000,
                8,
                1e-3,
                0,
                1,
                0,
                0,
                0,
                0,
                0,
                Machine.trainingPrecision());
    }

    @Override
    public boolean needsOriginal(Config config) {
        return config.lesson().objective().needsTeacher();
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        config.shape().configure(model, model.path("num_hidden_layers").asInt());
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        if (config.startsAnew() && !(before instanceof LinearForm.Dense)) {
            throw LitheException.badInput(
                    "linears are already %s; a student of another shape is made of dense ones, so it"
                            + " goes before",
                    before.label());
        }
        return Rebuilding.outcome(linear, before, 0);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        if (!config.startsAnew()) {
            return config.lesson().teach(model, model);
        }
        ObjectNode changed = model.config();
        configure(changed, config);
        try (WholeModel student =
                config.shape().student(model, changed, config.start(), config.seed())) {
            return config.lesson().teach(model, student);
        }
    }
}
