package dev.lithe.technique.quantize;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// GPTQ as the paper's equations say, in double precision: after each column the inverse of the
/// remaining Hessian is computed anew, so nothing is shared with the Cholesky form under test.
/// Ranges are taken as they are, symmetric, with scales in float32.
final class NaiveGptq {
    final int[][] codes;
    final float[][] scales;
    private final int bits;

    NaiveGptq(
            double[][] weights,
            double[][] hessian,
            int bits,
            int group,
            boolean actOrder,
            double damping) {
        int n = weights.length;
        int k = weights[0].length;
        this.bits = bits;
        this.codes = new int[n][k];
        this.scales = new float[n][k / group];
        double[][] w =
                IntStream.range(0, n).mapToObj(i -> weights[i].clone()).toArray(double[][]::new);
        double[][] h = damped(hessian, w, damping);
        int[] order = order(hessian, group, actOrder);
        for (int i = 0; i < k; i++) {
            int column = order[i];
            if (i % group == 0) {
                findScales(w, column / group, group);
            }
            int[] rest = Arrays.copyOfRange(order, i, k);
            double[][] inverse = inverse(h, rest);
            for (int row = 0; row < n; row++) {
                float scale = scales[row][column / group];
                int q = round(w[row][column] / scale);
                codes[row][column] = q;
                double error = (w[row][column] - q * (double) scale) / inverse[0][0];
                for (int j = 0; j < rest.length; j++) {
                    w[row][rest[j]] -= error * inverse[0][j];
                }
            }
        }
    }

    private int round(double x) {
        int half = 1 << (bits - 1);
        return (int) Math.clamp(Math.rint(x), -half, half - 1);
    }

    private void findScales(double[][] w, int g, int group) {
        for (int row = 0; row < w.length; row++) {
            double peak = 0;
            for (int j = g * group; j < (g + 1) * group; j++) {
                peak = Math.max(peak, Math.abs(w[row][j]));
            }
            scales[row][g] = (float) (peak / ((1 << (bits - 1)) - 0.5));
        }
    }

    private static double[][] damped(double[][] hessian, double[][] w, double damping) {
        int k = hessian.length;
        double mean = IntStream.range(0, k).mapToDouble(i -> hessian[i][i]).average().orElseThrow();
        double[][] h = new double[k][];
        for (int i = 0; i < k; i++) {
            h[i] = hessian[i].clone();
            if (h[i][i] == 0) {
                h[i][i] = 1;
                for (double[] row : w) {
                    row[i] = 0;
                }
            }
            h[i][i] += damping * mean;
        }
        return h;
    }

    /// Groups by their largest diagonal element, columns of a group by their own.
    private static int[] order(double[][] hessian, int group, boolean actOrder) {
        Stream<Integer> columns = IntStream.range(0, hessian.length).boxed();
        if (actOrder) {
            columns =
                    columns.sorted(
                            Comparator.comparingDouble(
                                            (Integer i) -> -peak(hessian, i / group, group))
                                    .thenComparing(i -> i / group)
                                    .thenComparingDouble(i -> -hessian[i][i]));
        }
        return columns.mapToInt(i -> i).toArray();
    }

    private static double peak(double[][] hessian, int g, int group) {
        return IntStream.range(g * group, (g + 1) * group)
                .mapToDouble(i -> hessian[i][i])
                .max()
                .orElseThrow();
    }

    /// The inverse of the rows and columns `rest` of `h`, by Gauss-Jordan elimination.
    private static double[][] inverse(double[][] h, int[] rest) {
        int k = rest.length;
        double[][] a = new double[k][2 * k];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                a[i][j] = h[rest[i]][rest[j]];
            }
            a[i][k + i] = 1;
        }
        for (int i = 0; i < k; i++) {
            double pivot = a[i][i];
            for (int j = 0; j < 2 * k; j++) {
                a[i][j] /= pivot;
            }
            for (int r = 0; r < k; r++) {
                double factor = a[r][i];
                if (r != i && factor != 0) {
                    for (int j = 0; j < 2 * k; j++) {
                        a[r][j] -= factor * a[i][j];
                    }
                }
            }
        }
        double[][] inverse = new double[k][];
        for (int i = 0; i < k; i++) {
            inverse[i] = Arrays.copyOfRange(a[i], k, 2 * k);
        }
        return inverse;
    }
}
