package dev.lithe.technique.distill;

import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// What training makes small: `(1 - c) τ² D(teacher, student) + c CE(text)`, with the logits of
/// both divided by τ in D.
///
/// @param beta D: 0 is KL(teacher || student), 1 is KL(student || teacher); between them the
///   generalised Jensen-Shannon divergence `β KL(t || m) + (1 - β) KL(s || m)`, `m = β t + (1 - β)
///   s` (Agarwal et al., arXiv 2306.13649)
/// @param temperature τ
/// @param crossEntropy c, the share of the cross-entropy with the text's next tokens
record Objective(double beta, double temperature, double crossEntropy) {
    Objective {
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
    }

    /// Whether it asks a teacher.
    boolean needsTeacher() {
        return crossEntropy < 1;
    }

    /// As the kernels take it.
    Value numbers(TensorScope into) {
        float[] numbers = {(float) beta, (float) temperature, (float) crossEntropy};
        return into.tensor(numbers, numbers.length);
    }
}
