package dev.lithe.technique.distill;

/// What a student learns from.
public enum Loss {
    /// The teacher's predictions, `KL(teacher || student)`: the student covers all of them.
    KL(0, 0),
    /// The same the other way round: the student keeps to the likely ones.
    REVERSE_KL(1, 0),
    /// The Jensen-Shannon divergence, half way between.
    JSD(0.5, 0),
    /// The text alone.
    CE(0, 1),
    /// Half KL, half text.
    MIXED(0, 0.5);

    private final double beta;
    private final double crossEntropy;

    Loss(double beta, double crossEntropy) {
        this.beta = beta;
        this.crossEntropy = crossEntropy;
    }

    /// With the logits divided by `temperature` where student and teacher are compared.
    Objective at(double temperature) {
        return new Objective(beta, temperature, crossEntropy);
    }
}
