package dev.lithe.model;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

class GroupedFormTest extends LinearFormContract {
    private static final int STEPS = 20;

    @Override
    Stream<Case> cases() {
        return Stream.of(
                a(4, 32, true, DType.F16, 48, 64),
                a(4, 32, false, DType.F16, 48, 64),
                a(4, 32, false, DType.BF16, 16, 96),
                a(4, 64, true, DType.F32, 32, 128),
                a(4, 128, false, DType.F16, 32, 256),
                a(4, 256, false, DType.F16, 16, 256),
                a(4, 16, false, DType.F16, 16, 48),
                a(4, 32, false, DType.F16, 13, 64),
                a(4, 0, true, DType.F16, 7, 37),
                a(8, 0, true, DType.F16, 16, 64),
                a(8, 0, true, DType.BF16, 17, 37),
                a(8, 0, false, DType.F16, 13, 37),
                a(8, 32, true, DType.F16, 16, 64),
                a(3, 32, true, DType.F16, 11, 96),
                a(3, 0, false, DType.F16, 13, 37),
                a(2, 16, false, DType.F16, 9, 48),
                a(2, 16, true, DType.F16, 16, 48),
                a(5, 8, false, DType.F16, 7, 40),
                a(6, 0, false, DType.F32, 5, 21),
                a(7, 3, true, DType.BF16, 5, 21),
                fractional(4, 32, DType.F16, 48, 64),
                fractional(4, 64, DType.BF16, 13, 128),
                fractional(3, 0, DType.F16, 13, 37),
                fractional(8, 16, DType.F32, 5, 48));
    }

    private static Case a(int bits, int group, boolean symmetric, DType scale, int n, int k) {
        return new Case(new LinearForm.Grouped(bits, group, symmetric, scale), n, k, k % 64 != 0);
    }

    private static Case fractional(int bits, int group, DType scale, int n, int k) {
        var form = new LinearForm.Grouped(bits, group, LinearForm.ZeroPoint.FRACTIONAL, scale);
        return new Case(form, n, k, k % 64 != 0);
    }

    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.Grouped form = (LinearForm.Grouped) a.form();
        int group = form.groupSize() == 0 ? a.k() : form.groupSize();
        int scaleType = form.scaleType().code();
        if (form.zero() == LinearForm.ZeroPoint.FRACTIONAL) {
            List<Value> made =
                    scope.call("hqq", weight, form.bits(), group, 0.7, 10.0, 1.01, 20, scaleType)
                            .members();
            return linear(made, made.get(2), weight, bias, form, scope);
        }
        List<Value> made =
                scope.call("rtn", weight, form.bits(), group, form.symmetric(), STEPS, scaleType)
                        .members();
        Value zero = form.symmetric() ? null : scope.call("pack_zero", made.get(2), form.bits());
        return linear(made, zero, weight, bias, form, scope);
    }

    private static Linear linear(
            List<Value> made,
            @Nullable Value zero,
            Value weight,
            @Nullable Value bias,
            LinearForm.Grouped form,
            TensorScope scope) {
        return new Linear.Grouped(
                scope.call("pack_codes", made.getFirst(), form.bits()),
                made.get(1),
                zero,
                scope.tensor(weight.shape(), 2),
                bias,
                form);
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        Linear.Grouped grouped = (Linear.Grouped) linear;
        LinearForm.Grouped form = (LinearForm.Grouped) a.form();
        int half = 1 << (form.bits() - 1);
        int groups = (int) form.groups(a.k());
        long[] packed = grouped.packed().longs();
        long[] zeros = grouped.zero() == null ? null : grouped.zero().longs();
        float[] scale = grouped.scale().floats();
        int words = packed.length / a.n();
        double[] w = new double[a.n() * a.k()];
        for (int n = 0; n < a.n(); n++) {
            for (int i = 0; i < a.k(); i++) {
                int group = i / (a.k() / groups);
                int q = code(packed, n * words, 1, i, form.bits()) - half;
                double z =
                        zeros == null
                                ? 0
                                : form.zero() == LinearForm.ZeroPoint.FRACTIONAL
                                        ? zeros[n * groups + group] * 2.0 * half / 256 - half
                                        : code(zeros, group, groups, n, form.bits()) - half;
                w[n * a.k() + i] = (q - z) * (double) scale[n * groups + group];
            }
        }
        return w;
    }

    /// Code `index` of a bit stream whose words lie at `first`, `first + step`, ...
    private static int code(long[] words, int first, int step, int index, int bits) {
        int code = 0;
        for (int bit = 0; bit < bits; bit++) {
            int at = index * bits + bit;
            code |= (int) (words[first + at / 32 * step] >> (at % 32) & 1) << bit;
        }
        return code;
    }

    @Override
    Scheme scheme(LinearForm form) {
        LinearForm.Grouped grouped = (LinearForm.Grouped) form;
        return grouped.zero() == LinearForm.ZeroPoint.FRACTIONAL
                ? Scheme.fractionalZeros(grouped.bits(), grouped.groupSize())
                : new Scheme(grouped.bits(), grouped.symmetric(), grouped.groupSize(), false);
    }
}
