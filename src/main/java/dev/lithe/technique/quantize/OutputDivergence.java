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
    private final List<Value> inputs;
    private final List<Value> targets;
    private final Value inputList;
    private final Value targetList;
    private final Value original;
    private final Value norm;
    private final double epsilon;
    private final double cap;

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
        this.inputs = part.inputs();
        this.targets = part.targets();
        this.inputList = scope.list(inputs);
        this.targetList = scope.list(targets);
        this.original = original;
        this.norm = part.norm(Slot.LM_HEAD);
        this.epsilon = part.spec().normEpsilon();
        this.cap = part.spec().style().logitCap();
    }

    @Override
    public int mostWindows() {
        long logits = inputs.getFirst().size(1) * original.shape()[0];
        return Math.toIntExact(Math.max(1, MAX_LOGITS / logits));
    }

    @Override
    public double mean() {
        double sum = 0;
        int windows = 0;
        for (int i = 0; i < inputs.size(); i++) {
            try (var step = TensorScope.open()) {
                int count = inputs.get(i).size(0);
                sum +=
                        count
                                * divergence(inputs.get(i), targets.get(i), step)
                                        .getFirst()
                                        .floats()[0];
                windows += count;
            }
        }
        return sum / windows;
    }

    @Override
    public void step(double rate, double scaleRate, long... windows) {
        try (var step = TensorScope.open()) {
            Value x = step.call("round_windows", inputList, windows);
            Value y = step.call("round_windows", targetList, windows);
            codes.move(List.of(divergence(x, y, step).getLast()), rate, scaleRate);
        }
    }

    private List<Value> divergence(Value x, Value y, TensorScope step) {
        return step.call(
                        "round_divergence",
                        x,
                        y,
                        codes.weights(step).members().getFirst(),
                        original,
                        norm,
                        epsilon,
                        cap,
                        precision.code())
                .members();
    }
}
