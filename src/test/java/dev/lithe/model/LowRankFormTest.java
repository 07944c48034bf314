package dev.lithe.model;

import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.technique.StoredWeights;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

class LowRankFormTest extends LinearFormContract {
    private static final LinearForm HALF = new LinearForm.Dense(DType.F16);
    private static final LinearForm FLOAT = new LinearForm.Dense(DType.F32);
    private static final LinearForm INT4 = new LinearForm.Grouped(4, 32, true, DType.F16);

    @Override
    Stream<Case> cases() {
        return Stream.of(
                new Case(new LinearForm.LowRank(HALF, 5), 13, 37, true),
                new Case(new LinearForm.LowRank(FLOAT, 1), 1, 1, false),
                new Case(new LinearForm.LowRank(HALF, FLOAT, FLOAT, 3), 18, 20, true),
                new Case(new LinearForm.LowRank(FLOAT, HALF, HALF, 7), 33, 64, false),
                new Case(new LinearForm.LowRank(INT4, 32), 48, 96, true),
                new Case(new LinearForm.LowRank(null, INT4, HALF, 16), 32, 64, false),
                new Case(new LinearForm.LowRank(INT4, HALF, HALF, 8), 32, 64, true));
    }

    @Override
    Linear make(Value weight, @Nullable Value bias, Case a, TensorScope scope) {
        LinearForm.LowRank form = (LinearForm.LowRank) a.form();
        Value measure = scope.call("unweighted", scope.call("identity", a.k()));
        int type = DType.F32.code();
        long rank = form.rank();
        List<Value> made =
                scope.call("svd_factors", weight, measure, Math.min(rank, weight.size(0)), type)
                        .members();
        float by = form.base() == null ? 1 : 1 / 64f;
        Value left = padded(made.get(0), by, weight.size(0), (int) rank, scope);
        Value right = padded(made.get(1), 1, (int) rank, a.k(), scope);
        Linear base = form.base() == null ? null : stored(weight, form.base(), scope);
        return new Linear.LowRank(
                base,
                stored(right, form.right(), scope),
                stored(left, form.left(), scope),
                bias,
                form);
    }

    /// Times a number, and with zeros to the shape (n, k).
    private static Value padded(Value x, float by, int n, int k, TensorScope scope) {
        float[] from = x.floats();
        float[] to = new float[n * k];
        int width = x.size(1);
        for (int i = 0; i < from.length; i++) {
            to[i / width * k + i % width] = from[i] * by;
        }
        return scope.tensor(to, n, k);
    }

    private static Linear stored(Value weight, LinearForm form, TensorScope scope) {
        if (form instanceof LinearForm.Dense dense) {
            return new Linear.Dense(scope.call("cast", weight, dense.dtype().code()), null, dense);
        }
        LinearForm.Grouped grouped = (LinearForm.Grouped) form;
        List<Value> codes =
                scope.call(
                                "rtn",
                                weight,
                                grouped.bits(),
                                grouped.groupSize(),
                                true,
                                1,
                                grouped.scaleType().code())
                        .members();
        return new Linear.Grouped(
                scope.call("pack_codes", codes.get(0), grouped.bits()),
                codes.get(1),
                null,
                scope.tensor(weight.shape(), 2),
                null,
                grouped);
    }

    @Override
    double[] meaning(Linear linear, Case a) {
        return StoredWeights.of(linear);
    }

    @Override
    double[] sizes(Linear linear, Case a) {
        Linear.LowRank two = (Linear.LowRank) linear;
        double[] right = StoredWeights.of(two.right());
        double[] left = StoredWeights.of(two.left());
        int rank = (int) two.form().rank();
        int k = right.length / rank;
        double[] sizes =
                two.base() == null
                        ? new double[left.length / rank * k]
                        : Arrays.stream(StoredWeights.of(two.base())).map(Math::abs).toArray();
        for (int i = 0; i < sizes.length; i++) {
            for (int r = 0; r < rank; r++) {
                sizes[i] += Math.abs(left[i / k * rank + r] * right[r * k + i % k]);
            }
        }
        return sizes;
    }

    /// A byte for each input of a factor of integers.
    @Override
    double roundingOnTheWay(LinearForm form) {
        LinearForm.LowRank two = (LinearForm.LowRank) form;
        boolean integers = two.right().equals(INT4) || INT4.equals(two.base());
        return integers ? 4.0 / 127 : 0;
    }

    @Override
    Scheme scheme(LinearForm form) {
        return Scheme.lowRank();
    }
}
