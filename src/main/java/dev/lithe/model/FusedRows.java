package dev.lithe.model;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// Linears of one form that read the same input, as one: their rows below each other.
///
/// @param alike at least one
/// @param step where what is made on the way lives
record FusedRows(List<Linear> alike, TensorScope step) {
    Linear first() {
        return alike.getFirst();
    }

    /// One tensor of each, below each other.
    Value of(Function<Linear, Value> tensor) {
        List<Value> rows = alike.stream().map(tensor).toList();
        return rows.size() == 1 ? rows.getFirst() : step.call("concat_rows", step.list(rows));
    }

    /// The biases, (N) float32, or null where there are none.
    @Nullable Value bias() {
        if (first().bias() == null) {
            return null;
        }
        List<Value> biases =
                alike.stream()
                        .map(Linear::bias)
                        .filter(bias -> bias != null)
                        .map(bias -> step.call("to_float", bias))
                        .toList();
        return biases.size() == 1 ? biases.getFirst() : step.call("concat_rows", step.list(biases));
    }

    /// W (N, K) float32.
    Value expanded() {
        return of(linear -> DenseWeights.of(linear, step));
    }

    /// W (N, K) of linears that have a scale per row, float32.
    Value scaledRows() {
        return of(linear ->
                step.call(
                        "to_float",
                        linear instanceof Linear.Int8 int8
                                ? int8.weight()
                                : ((Linear.Float8) linear).weight()));
    }

    /// Those scales, (N).
    Value rowScales() {
        return of(linear ->
                linear instanceof Linear.Int8 int8
                        ? step.call("scale_of_rows", int8.scale(), int8.weight().size(0))
                        : step.call(
                                "scale_of_rows",
                                ((Linear.Float8) linear).scale(),
                                ((Linear.Float8) linear).weight().size(0)));
    }

    Value int8Weights() {
        return of(linear -> ((Linear.Int8) linear).weight());
    }

    Value int8Scales() {
        return of(linear -> ((Linear.Int8) linear).scale());
    }

    Value packedCodes() {
        return of(linear -> ((Linear.Grouped) linear).packed());
    }

    Value groupScales() {
        return of(linear -> ((Linear.Grouped) linear).scale());
    }

    /// Zero points among the signed codes; absent where the form is symmetric.
    Value zeros() {
        LinearForm.Grouped form = ((Linear.Grouped) first()).form();
        return form.symmetric()
                ? step.none()
                : of(linear -> DenseWeights.zero((Linear.Grouped) linear, step));
    }
}
