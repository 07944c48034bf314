package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.model.Linear.Codebook.Scales;
import dev.lithe.technique.StoredWeights;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class CodebookFormTest extends LinearFormContract {
    @Override
    Stream<Case> cases() {
        return Stream.of(
                a(4, 32, false, DType.F32, DType.F16, 48, 64),
                a(4, 16, false, DType.F16, DType.I8, 40, 128),
                a(4, 0, true, DType.F16, DType.F16, 13, 37),
                a(3, 0, true, DType.F32, DType.F32, 7, 21),
                a(5, 7, true, DType.BF16, DType.BF16, 5, 21),
                a(2, 8, false, DType.F32, DType.I8, 3, 24),
                a(8, 0, true, DType.F16, DType.F16, 3, 300),
                a(4, 1, false, DType.F32, DType.F32, 1, 1));
    }

    private static Case a(
            int bits, int group, boolean rowTables, DType table, DType scale, int n, int k) {
        var form = new LinearForm.Codebook(bits, group, rowTables, table, scale);
        return new Case(form, n, k, k % 2 == 1);
    }

    /// Evenly spaced entries, for each row its own where it has a table.
    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Codebook form = (LinearForm.Codebook) a.form();
        int n = weight.size(0);
        int entries = 1 << form.bits();
        int tables = form.rowTables() ? n : 1;
        float[] numbers = new float[tables * entries];
        double reach = form.groupSize() == 0 ? 3.2 : 1;
        for (int i = 0; i < numbers.length; i++) {
            double wider = 1 + 0.01 * (i / entries);
            numbers[i] = (float) (reach * wider * (2.0 * (i % entries) / (entries - 1) - 1));
        }
        Value table =
                scope.call("cast", scope.tensor(numbers, tables, entries), form.tableType().code());
        Scales scales = form.groupSize() == 0 ? null : scales(weight, form, scope);
        return new Linear.Codebook(
                indices(weight, table, scales, a, scope),
                table,
                scales,
                scope.tensor(new long[] {n, a.k()}, 2),
                bias,
                form);
    }

    private static Scales scales(Value weight, LinearForm.Codebook form, TensorScope scope) {
        int type = form.quantizedScales() ? DType.F32.code() : form.scaleType().code();
        Value largest = scope.call("absmax", weight, form.groupSize(), type);
        if (!form.quantizedScales()) {
            return new Scales(scope.call("cast", largest, type), null, null);
        }
        List<Value> made = scope.call("double_quantize", largest).members();
        return new Scales(made.get(0), made.get(1), made.get(2));
    }

    /// Row by row, since each may have a table of its own.
    private static Value indices(
            Value weight, Value table, @Nullable Scales scales, Case a, TensorScope scope) {
        LinearForm.Codebook form = (LinearForm.Codebook) a.form();
        int n = weight.size(0);
        int groups = form.groupSize() == 0 ? 1 : a.k() / form.groupSize();
        float[] scale = new float[n * groups];
        Arrays.fill(scale, 1);
        if (scales != null) {
            Value none = scope.none();
            scale =
                    scope.call(
                                    "group_scales",
                                    scales.values(),
                                    scales.block() == null ? none : scales.block(),
                                    scales.mean() == null ? none : scales.mean())
                            .floats();
        }
        float[] w = weight.floats();
        float[] entries = table.floats();
        int count = 1 << form.bits();
        long[] codes = new long[w.length];
        for (int i = 0; i < w.length; i++) {
            int first = form.rowTables() ? i / a.k() * count : 0;
            double s = scale[i / (a.k() / groups)];
            for (int j = 1; j < count; j++) {
                if (Math.abs(w[i] - s * entries[first + j])
                        < Math.abs(w[i] - s * entries[first + (int) codes[i]])) {
                    codes[i] = j;
                }
            }
        }
        return scope.call("pack", scope.tensor(codes, n, a.k()), form.bits());
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        return StoredWeights.of(linear);
    }

    @Override
    Scheme scheme(LinearForm form) {
        LinearForm.Codebook codebook = (LinearForm.Codebook) form;
        return Scheme.codebook(codebook.bits(), codebook.groupSize());
    }

    @Test
    void indicesFillTheirWordsFromTheLowestBit() {
        // 3 bits: 1 2 3 4 5 6 7 0 1 2 3 -> the 11th index crosses into the second word
        try (var scope = TensorScope.open()) {
            Value codes = scope.tensor(new long[] {1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3}, 1, 11);
            Value packed = scope.call("pack", codes, 3);
            assertThat(packed.longs())
                    .containsExactly((int) 0b11_010_001_000_111_110_101_100_011_010_001L, 0);
            float[] table = {0, 10, 20, 30, 40, 50, 60, 70};
            Value none = scope.none();
            assertThat(
                            scope.call(
                                            "expand_codebook",
                                            packed,
                                            scope.tensor(table, 1, 8),
                                            none,
                                            3,
                                            11)
                                    .floats())
                    .containsExactly(10, 20, 30, 40, 50, 60, 70, 0, 10, 20, 30);
        }
    }

    @Test
    void quantizedScalesComeBackPerBlock() {
        // 300 scales: the first 256 share 2 / 127, the other 44 half of it; their mean is 3
        float[] scales = new float[300];
        for (int i = 0; i < 300; i++) {
            scales[i] = 3 + (i % 2 == 0 ? 1 : -1) * (i < 256 ? 2 : 1);
        }
        try (var scope = TensorScope.open()) {
            List<Value> made =
                    scope.call("double_quantize", scope.tensor(scales, 100, 3)).members();
            assertThat(made.get(0).longs()).containsOnly(127, -127).hasSize(300);
            assertThat(made.get(1).floats()).containsExactly(2 / 127f, 1 / 127f);
            assertThat(made.get(2).floats()).containsExactly(3);
            assertThat(scope.call("group_scales", made.get(0), made.get(1), made.get(2)).floats())
                    .containsExactly(scales, org.assertj.core.data.Offset.offset(1e-6f));
        }
    }
}
