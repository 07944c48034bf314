package dev.lithe.technique.quantize;

import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.KernelSettings;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.NormScales;
import dev.lithe.model.RotaryTables;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The mean squared error of a block's output: what it makes of the stream that the compressed
/// blocks before it give, against the original's stream after it.
final class BlockError implements RoundingLoss {
    private final LearnedCodes codes;
    private final List<Value> inputs;
    private final List<Value> targets;
    private final Value inputList;
    private final Value targetList;
    private final Value biases;
    private final Value norms;
    private final List<Value> rotary;
    private final Value settings;

    /// The error of `part`, a block, with `codes` in the place of its linears.
    ///
    /// @param precision of its multiplications
    /// @param scope keeps what it needs
    BlockError(LoadedPart part, LearnedCodes codes, DType precision, TensorScope scope) {
        ModelSpec spec = part.spec();
        this.codes = codes;
        this.inputs = part.inputs();
        this.targets = part.targets();
        this.inputList = scope.list(inputs);
        this.targetList = scope.list(targets);
        this.biases = scope.list(biases(part, scope));
        this.norms = scope.list(NormScales.ofBlock(part.norms(), scope));
        this.rotary = RotaryTables.of(spec, part.inputs().getFirst().size(1), scope);
        this.settings = KernelSettings.tensor(spec, part.part().block(), precision, scope);
    }

    /// Of each slot, side by side as its linears are; empty where none has one.
    private static List<Value> biases(LoadedPart part, TensorScope scope) {
        List<Value> biases = new ArrayList<>();
        for (Slot slot : part.part().slots()) {
            List<Value> rows = new ArrayList<>();
            boolean any = part.linears(slot).stream().anyMatch(linear -> linear.bias() != null);
            for (LinearName name : part.part().linears(slot)) {
                @Nullable Value bias = part.linear(name).bias();
                rows.add(
                        bias == null
                                ? scope.tensor(new float[name.outFeatures()], name.outFeatures())
                                : scope.call("to_float", bias));
            }
            biases.add(
                    any
                            ? scope.call("concat_rows", scope.list(rows))
                            : scope.call("rows", rows.getFirst(), 0, 0));
        }
        return biases;
    }

    @Override
    public double mean() {
        try (var step = TensorScope.open()) {
            Value weights = codes.weights(step);
            double sum = 0;
            int windows = 0;
            for (int i = 0; i < inputs.size(); i++) {
                Object[] arguments = arguments(inputs.get(i), targets.get(i), weights);
                int count = inputs.get(i).size(0);
                sum += count * step.call("round_loss", arguments).floats()[0];
                windows += count;
            }
            return sum / windows;
        }
    }

    @Override
    public void step(double rate, double scaleRate, long... windows) {
        try (var step = TensorScope.open()) {
            Value x = step.call("round_windows", inputList, windows);
            Value y = step.call("round_windows", targetList, windows);
            Value[] arguments = arguments(x, y, codes.weights(step));
            codes.move(step.train("round_gradient", arguments), rate, scaleRate);
        }
    }

    Value[] arguments(Value x, Value y, Value weights) {
        return new Value[] {x, y, weights, biases, norms, rotary.get(0), rotary.get(1), settings};
    }
}
