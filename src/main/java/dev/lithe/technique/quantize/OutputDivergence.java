package dev.lithe.technique.quantize;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// The mean Kullback-Leibler divergence of the predictions: of what the output layer makes of the
/// stream that the compressed blocks give, from what it made of the original's stream when the
/// stage began.
final class OutputDivergence implements RoundingLoss {
    /// Predictions of a step, each as wide as the vocabulary: 128 MB in float32, a few times over.
    private static final long MAX_LOGITS = 1L << 25;

    private final LearnedCodes codes;
    private final DType precision;
    private final Value inputs;
    private final Value targets;
    private final Value original;
    private final Value norm;
    private final double epsilon;

    /// The divergence of `part`, an output layer, with `codes` in the place of its linear.
    ///
    /// @param original the layer's weights (V, d) when the stage began
    /// @param precision of its multiplications
    /// @param scope keeps what it needs
    OutputDivergence(
            LoadedPart part,
            LearnedCodes codes,
            Value original,
            DType precision,
            TensorScope scope) {
        this.codes = codes;
        this.precision = precision;
        this.inputs = scope.list(part.inputs());
        this.targets = scope.list(part.targets());
        this.original = original;
        this.norm = part.norm(Slot.LM_HEAD);
        this.epsilon = part.spec().normEpsilon();
    }

    @Override
    public int mostWindows() {
        long logits = inputs.members().getFirst().size(1) * original.shape()[0];
        return Math.toIntExact(Math.max(1, MAX_LOGITS / logits));
    }

    @Override
    public double of(long... windows) {
        try (var step = TensorScope.open()) {
            return divergence(windows, step).getFirst().floats()[0];
        }
    }

    @Override
    public void step(double rate, double scaleRate, long... windows) {
        try (var step = TensorScope.open()) {
            codes.move(List.of(divergence(windows, step).getLast()), rate, scaleRate);
        }
    }

    private List<Value> divergence(long[] windows, TensorScope step) {
        return step.call(
                        "round_divergence",
                        step.call("round_windows", inputs, windows),
                        step.call("round_windows", targets, windows),
                        codes.weights(step).members().getFirst(),
                        original,
                        norm,
                        epsilon,
                        precision.code())
                .members();
    }
}
