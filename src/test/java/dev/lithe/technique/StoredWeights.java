package dev.lithe.technique;

import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.tensor.Value;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Objects;

/// What the stored numbers of a linear mean, worked out in plain Java.
public final class StoredWeights {
    private StoredWeights() {}

    /// Weights (N, K), row-major.
    public static double[] of(Linear linear) {
        return switch (linear) {
            case Linear.Dense dense -> doubles(dense.weight());
            case Linear.Int8 int8 -> scaled(int8.weight().longs(), int8.scale().floats());
            case Linear.Float8 float8 -> float8(float8);
            case Linear.Masked masked -> masked(masked);
            case Linear.Codebook codebook -> codebook(codebook);
            case Linear.Grouped grouped -> grouped(grouped);
            case Linear.LowRank factors -> product(factors);
            case Linear.Shared shared -> of(shared.of());
        };
    }

    private static double[] product(Linear.LowRank linear) {
        double[] right = of(linear.right());
        double[] left = of(linear.left());
        int rank = (int) linear.form().rank();
        int k = right.length / rank;
        double[] weights =
                linear.base() == null ? new double[left.length / rank * k] : of(linear.base());
        for (int i = 0; i < weights.length; i++) {
            for (int r = 0; r < rank; r++) {
                weights[i] += left[i / k * rank + r] * right[r * k + i % k];
            }
        }
        return weights;
    }

    private static double[] float8(Linear.Float8 linear) {
        ByteBuffer raw = linear.weight().rawBytes();
        float[] scale = linear.scale().floats();
        int width = raw.remaining() / scale.length;
        double[] weights = new double[raw.remaining()];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = e4m3(raw.get(raw.position() + i)) * scale[i / width];
        }
        return weights;
    }

    /// One sign bit, four of the exponent with bias 7, three of the mantissa; exponent 0 means 2^-6
    /// without a leading 1, and all ones NaN.
    public static double e4m3(byte bits) {
        int exponent = bits >> 3 & 15;
        int mantissa = bits & 7;
        if (exponent == 15 && mantissa == 7) {
            return Double.NaN;
        }
        double size =
                exponent == 0 ? mantissa * 0x1p-9 : (8 + mantissa) * Math.scalb(1.0, exponent - 10);
        return bits < 0 ? -size : size;
    }

    private static double[] masked(Linear.Masked linear) {
        long[] shape = linear.shape().longs();
        int n = (int) shape[0];
        int k = (int) shape[1];
        long[] mask = linear.mask().longs();
        float[] values = linear.values().floats();
        double[] weights = new double[n * k];
        int next = 0;
        for (int i = 0; i < weights.length; i++) {
            if (code(mask, i / k * (mask.length / n), 1, i % k, 1) + 1 == 1) {
                weights[i] = values[next++];
            }
        }
        return weights;
    }

    private static double[] codebook(Linear.Codebook linear) {
        LinearForm.Codebook form = linear.form();
        long[] shape = linear.shape().longs();
        int n = (int) shape[0];
        int k = (int) shape[1];
        long[] packed = linear.indices().longs();
        float[] table = linear.table().floats();
        double[] scale = linear.scales() == null ? new double[0] : scales(linear.scales());
        int entries = 1 << form.bits();
        double[] weights = new double[n * k];
        for (int i = 0; i < weights.length; i++) {
            int index =
                    code(packed, i / k * (packed.length / n), 1, i % k, form.bits()) + entries / 2;
            weights[i] = table[(form.rowTables() ? i / k * entries : 0) + index];
            weights[i] *= form.groupSize() == 0 ? 1 : scale[i / form.groupSize()];
        }
        return weights;
    }

    /// One scale per group, row by row.
    private static double[] scales(Linear.Codebook.Scales scales) {
        double[] values = doubles(scales.values());
        if (scales.block() != null && scales.mean() != null) {
            float[] block = scales.block().floats();
            float mean = scales.mean().floats()[0];
            for (int i = 0; i < values.length; i++) {
                values[i] = mean + values[i] * block[i / 256];
            }
        }
        return values;
    }

    /// The signed codes (N, K) of a linear in groups.
    public static int[] codes(Linear.Grouped linear) {
        long[] shape = linear.shape().longs();
        int n = (int) shape[0];
        int k = (int) shape[1];
        int bits = linear.form().bits();
        long[] packed = linear.packed().longs();
        int words = packed.length / n;
        int[] codes = new int[n * k];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = code(packed, i / k * words, 1, i % k, bits);
        }
        return codes;
    }

    /// The signed zero points (N, G) of a linear in groups; all 0 when symmetric.
    public static int[] zeros(Linear.Grouped linear) {
        long[] shape = linear.shape().longs();
        int n = (int) shape[0];
        int groups = (int) linear.form().groups(shape[1]);
        int[] zeros = new int[n * groups];
        if (linear.zero() != null) {
            long[] packed = linear.zero().longs();
            for (int i = 0; i < zeros.length; i++) {
                zeros[i] = code(packed, i % groups, groups, i / groups, linear.form().bits());
            }
        }
        return zeros;
    }

    /// The zero points (N, G) as stored, 256 to the range of the codes, among the signed codes.
    private static double[] fractionalZeros(Linear.Grouped linear) {
        int bits = linear.form().bits();
        return Arrays.stream(Objects.requireNonNull(linear.zero()).longs())
                .mapToDouble(step -> (double) step * (1 << bits) / 256 - (1 << (bits - 1)))
                .toArray();
    }

    private static double[] grouped(Linear.Grouped linear) {
        int[] codes = codes(linear);
        double[] zeros =
                linear.form().zero() == LinearForm.ZeroPoint.FRACTIONAL
                        ? fractionalZeros(linear)
                        : Arrays.stream(zeros(linear)).asDoubleStream().toArray();
        float[] scale = linear.scale().floats();
        int width = codes.length / scale.length;
        double[] weights = new double[codes.length];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (codes[i] - zeros[i / width]) * (double) scale[i / width];
        }
        return weights;
    }

    private static double[] scaled(long[] codes, float[] scale) {
        int width = codes.length / scale.length;
        double[] weights = new double[codes.length];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = codes[i] * (double) scale[i / width];
        }
        return weights;
    }

    private static double[] doubles(Value tensor) {
        float[] floats = tensor.floats();
        double[] doubles = new double[floats.length];
        for (int i = 0; i < floats.length; i++) {
            doubles[i] = floats[i];
        }
        return doubles;
    }

    /// Code `index` of a bit stream whose words lie at `first`, `first + step`, ...; stored with
    /// 2^(bits-1) added.
    private static int code(long[] words, int first, int step, int index, int bits) {
        int code = 0;
        for (int bit = 0; bit < bits; bit++) {
            int at = index * bits + bit;
            code |= (int) (words[first + at / 32 * step] >> (at % 32) & 1) << bit;
        }
        return code - (1 << (bits - 1));
    }
}
