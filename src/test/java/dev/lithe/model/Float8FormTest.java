package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.technique.StoredWeights;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class Float8FormTest extends LinearFormContract {
    @Override
    Stream<Case> cases() {
        return Stream.of(
                a(false, true, DType.F32, 16, 64),
                a(false, true, DType.F16, 13, 37),
                a(false, false, DType.BF16, 13, 37),
                a(true, true, DType.F16, 9, 24),
                a(true, false, DType.F32, 5, 21),
                a(false, true, DType.F16, 1, 1));
    }

    private static Case a(boolean perTensor, boolean dynamic, DType scale, int n, int k) {
        return new Case(new LinearForm.Float8(perTensor, dynamic, scale), n, k, k % 2 == 1);
    }

    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Float8 form = (LinearForm.Float8) a.form();
        List<Value> made =
                scope.call("float8", weight, form.perTensor(), 0, form.scaleType().code())
                        .members();
        return new Linear.Float8(made.get(0), made.get(1), bias, form);
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        return StoredWeights.of(linear);
    }

    /// Rounded to the nearest E4M3 number after its largest magnitude became 448.
    @Override
    double[] activation(float[] x, LinearForm form) {
        double[] seen = super.activation(x, form);
        if (!((LinearForm.Float8) form).dynamicActivations()) {
            return seen;
        }
        float largest = 0;
        for (float value : x) {
            largest = Math.max(largest, Math.abs(value));
        }
        float scale = largest / 448;
        for (int i = 0; i < x.length; i++) {
            seen[i] = nearest(x[i] / scale) * scale;
        }
        return seen;
    }

    private static double nearest(float x) {
        double best = Double.NaN;
        for (int code = 0; code < 256; code++) {
            double value = StoredWeights.e4m3((byte) code);
            double closer = Math.abs(x - value) - Math.abs(x - best);
            if (Double.isNaN(best) || closer < 0 || closer == 0 && code % 2 == 0) {
                best = value; // a tie goes to the even mantissa
            }
        }
        return best;
    }

    @Override
    Scheme scheme(LinearForm form) {
        LinearForm.Float8 float8 = (LinearForm.Float8) form;
        return Scheme.float8(float8.perTensor(), float8.dynamicActivations());
    }

    @Test
    void bytesAreThoseOfTheStandard() {
        // scale 1: 448 = 0 1111 110, -1 = 1 0111 000, 1.5 = 0 0111 100, 2^-9 = 0 0000 001, 0.3 ->
        // 0.3125 = 0 0101 010
        float[] row = {448, -1, 1.5f, 0x1p-9f, 0.3f, 0};
        try (var scope = TensorScope.open()) {
            List<Value> made =
                    scope.call("float8", scope.tensor(row, 1, 6), false, 0, DType.F32.code())
                            .members();
            ByteBuffer raw = made.getFirst().rawBytes();
            byte[] bytes = new byte[raw.remaining()];
            raw.get(bytes);
            assertThat(bytes).containsExactly(0x7e, 0xb8, 0x3c, 0x01, 0x2a, 0x00);
            assertThat(made.get(1).floats()).containsExactly(1);
        }
    }
}
