package dev.lithe.technique.distill;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// What training makes small: `(1 - c) τ² D(teacher, student) + c CE(text) + h S`, with the logits
/// of both divided by τ in D.
///
/// @param beta D: 0 is KL(teacher || student), 1 is KL(student || teacher); between them the
///   generalised Jensen-Shannon divergence `β KL(t || m) + (1 - β) KL(s || m)`, `m = β t + (1 - β)
///   s` (Agarwal et al., arXiv 2306.13649)
/// @param temperature τ
/// @param crossEntropy c, the share of the cross-entropy with the text's next tokens
/// @param hidden h, the weight of S: the mean over the student's blocks of `|P x - y|² / |y|²`,
///   where x is the stream behind a block, y the teacher's behind the block as deep, and P a
///   projection that is learned where their widths differ (Romero et al., "FitNets", arXiv
///   1412.6550; Jiao et al., "TinyBERT", arXiv 1909.10351)
/// @param onPolicy share of the steps whose windows the student goes on with by itself from their
///   first half, drawing at temperature 1 (GKD's λ)
/// @param teacherTop the teacher is asked once, and its likeliest tokens, so many, are kept; D is
///   then of those and of all others together. 0 asks it at every step
public record Objective(
        double beta,
        double temperature,
        double crossEntropy,
        double hidden,
        double onPolicy,
        int teacherTop) {
    private static final int MOST_TOP = 1 << 16;

    public Objective {
        if (!(beta >= 0 && beta <= 1)) {
            throw LitheException.badInput("beta is %s; choose 0 to 1", beta);
        }
        if (!(temperature >= 0.01 && temperature <= 100)) {
            throw LitheException.badInput(
                    "temperature is %s; choose 0.01 to 100 (1 or 2 are usual)", temperature);
        }
        if (!(crossEntropy >= 0 && crossEntropy <= 1)) {
            throw LitheException.badInput("cross_entropy is %s; choose 0 to 1", crossEntropy);
        }
        if (!(hidden >= 0 && hidden <= 1000)) {
            throw LitheException.badInput(
                    "hidden is %s; choose 0 to 1000 (0 leaves it out, 1 is usual)", hidden);
        }
        if (!(onPolicy >= 0 && onPolicy <= 1)) {
            throw LitheException.badInput("on_policy is %s; choose 0 to 1", onPolicy);
        }
        if (teacherTop < 0 || teacherTop > MOST_TOP) {
            throw LitheException.badInput(
                    "teacher_top is %d; choose 1 to %d (64 is usual), or 0 to ask the teacher at every"
                            + " step",
                    teacherTop, MOST_TOP);
        }
        if (onPolicy > 0 && crossEntropy > 0) {
            throw LitheException.badInput(
                    "on_policy is %s and cross_entropy is %s; the student's own words are no text to"
                            + " learn, so choose 0 for one of them",
                    onPolicy, crossEntropy);
        }
        if (onPolicy > 0 && teacherTop > 0) {
            throw LitheException.badInput(
                    "on_policy is %s and teacher_top is %d; what the student will say cannot be asked"
                            + " before, so choose 0 for one of them",
                    onPolicy, teacherTop);
        }
        if (teacherTop > 0 && (hidden > 0 || crossEntropy == 1)) {
            throw LitheException.badInput(
                    "teacher_top is %d, which goes with a divergence, and with no hidden; choose 0",
                    teacherTop);
        }
    }

    /// Without streams, on the text, with the teacher at hand.
    Objective(double beta, double temperature, double crossEntropy) {
        this(beta, temperature, crossEntropy, 0, 0, 0);
    }

    /// Whether it asks a teacher.
    boolean needsTeacher() {
        return crossEntropy < 1 || hidden > 0;
    }

    /// As the kernels take it.
    Value numbers(TensorScope into) {
        float[] numbers = {(float) beta, (float) temperature, (float) crossEntropy, (float) hidden};
        return into.tensor(numbers, numbers.length);
    }
}
