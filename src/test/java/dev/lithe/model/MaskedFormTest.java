package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.StoredWeights;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MaskedFormTest extends LinearFormContract {
    /// libtorch's number for truth values.
    private static final int BOOLEAN = 11;

    @Override
    Stream<Case> cases() {
        return Stream.of(
                a(DType.F16, 48, 64, 32),
                a(DType.F32, 7, 21, 1),
                a(DType.BF16, 13, 37, 36),
                a(DType.F32, 3, 33, 0),
                a(DType.F16, 1, 1, 1));
    }

    private static Case a(DType type, int n, int k, int keptOfRow) {
        var form = new LinearForm.Masked(type, (long) n * keptOfRow, (long) n * k);
        return new Case(form, n, k, k % 2 == 1);
    }

    /// Keeps the largest of each row.
    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Masked form = (LinearForm.Masked) a.form();
        int rows = weight.size(0);
        long keptOfRow = form.kept() / a.n();
        Value score = scope.call("magnitude", weight);
        Value keep = scope.call("keep_largest", score, a.k() - keptOfRow);
        List<Value> made =
                scope.call("pack_masked", weight, keep, form.valueType().code()).members();
        return new Linear.Masked(
                made.get(0),
                made.get(1),
                scope.tensor(new long[] {rows, a.k()}, 2),
                bias,
                new LinearForm.Masked(form.valueType(), rows * keptOfRow, (long) rows * a.k()));
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        return StoredWeights.of(linear);
    }

    @Override
    Scheme scheme(LinearForm form) {
        return Scheme.masked();
    }

    /// Row 0 keeps inputs 0 and 33, row 1 none, row 2 input 31: bits from the lowest up, rows in
    /// whole words.
    @Test
    void liesOnDiskAsWorkedOutByHand() {
        try (var scope = TensorScope.open()) {
            float[] weights = new float[3 * 34];
            weights[0] = 1.5f;
            weights[33] = -2;
            weights[2 * 34 + 31] = 4;
            Value weight = scope.tensor(weights, 3, 34);
            Value keep = scope.call("cast", scope.call("magnitude", weight), BOOLEAN);
            List<Value> made = scope.call("pack_masked", weight, keep, DType.F16.code()).members();
            assertThat(made.get(0).longs()).containsExactly(1, 2, 0, 0, Integer.MIN_VALUE, 0);
            assertThat(made.get(1).floats()).containsExactly(1.5f, -2, 4);
        }
    }

    @Test
    void aMaskThatKeepsAnotherNumberOfWeightsIsRefused(@TempDir Path temporary) {
        Path folder = temporary.resolve("model");
        String module = "model.layers.0.mlp.down_proj";
        try (var scope = TensorScope.open();
                var writer = CheckpointWriter.open(folder, false)) {
            writer.write(
                    module + ".weight_mask",
                    scope.call("cast", scope.tensor(new long[] {7, 1}, 2, 1), DType.I32.code()));
            writer.write(module + ".weight_values", scope.tensor(new float[] {1, 2, 3}, 3));
            writer.write(module + ".weight_shape", scope.tensor(new long[] {2, 8}, 2));
            Map<String, @Nullable Scheme> schemes = new HashMap<>();
            schemes.put(module, Scheme.masked());
            ObjectNode config = new JsonMapper().createObjectNode();
            config.set("quantization_config", QuantizationMetadata.describe(schemes));
            writer.json("config.json", config);
            writer.finish(new JsonMapper().createObjectNode());
        }
        try (var scope = TensorScope.open();
                var checkpoint = Checkpoint.open(folder)) {
            var name = new LinearName(module, 0, Slot.DOWN, 2, 8, false);
            assertThatThrownBy(() -> new LinearReader(checkpoint).read(name, scope))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("keeps 4 weights, and 3 are stored");
        }
    }
}
