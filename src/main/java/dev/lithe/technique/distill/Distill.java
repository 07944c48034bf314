package dev.lithe.technique.distill;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.technique.distill.StudentShape.Start;

/// Trains a student on what its teacher, the model that the recipe started from, predicts (Hinton,
/// Vinyals, Dean, arXiv 1503.02531; the divergences between KL and its reverse, and the student's
/// own words: Agarwal et al., "GKD", arXiv 2306.13649).
///
/// The student is what the recipe has made so far; or with `layers` that many of its blocks, evenly
/// spaced, the first and the last among them (Sanh et al., "DistilBERT", arXiv 1910.01108, take
/// every other one), one of which gives way where none of them has attention; or with other widths a fresh one, which begins as the model where shapes agree
/// and random elsewhere (`start: random`: everywhere). All of its weights learn to make small
///
///     (1 - c) τ² D(teacher, student) + c CE(text) + h S
///
/// with the logits of both divided by τ in D; the keys say what each letter is.
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
    /// @param start what a student of another shape begins as
    public record Config(
            @JsonUnwrapped StudentShape shape,
            Start start,
            @JsonUnwrapped Schedule schedule,
            @JsonUnwrapped Objective objective) {
        boolean startsAnew() {
            return start == Start.RANDOM || !shape.isSame();
        }

        Lesson lesson() {
            return new Lesson("distill", objective, schedule, 0);
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
                StudentShape.SAME,
                Start.TEACHER,
                Schedule.of(1000, 8, 1e-3),
                new Objective(0, 1, 0));
    }

    @Override
    public boolean needsOriginal(Config config) {
        return config.objective().needsTeacher();
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "distill does not train such models; leave it out");
        config.shape().configure(model, model.path("num_hidden_layers").asInt());
    }

    @Override
    public void check(Checkpoint source, ModelSpec before, int context, Config config) {
        if (needsOriginal(config)) {
            Lesson.requireSameTokens(source, before);
        }
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
    public Effort effort(
            ModelSpec original, ModelSpec made, CalibrationSet windows, Config config) {
        return config.lesson().effort(original, made, windows);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        if (!config.startsAnew()) {
            return config.lesson().teach(model, model);
        }
        ObjectNode changed = model.config();
        configure(changed, config);
        try (WholeModel student =
                config.shape().student(model, changed, config.start(), config.schedule().seed())) {
            return config.lesson().teach(model, student);
        }
    }
}
