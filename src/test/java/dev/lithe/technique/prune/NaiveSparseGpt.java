package dev.lithe.technique.prune;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/// SparseGPT as the paper's equations say, in double precision: after each column the inverse of
/// the remaining Hessian is computed anew, so nothing is shared with the Cholesky form under test.
final class NaiveSparseGpt {
    private static final int BLOCK = 128;

    private final double[][] w;
    private final double[][] h;
    private final boolean[][] keep;

    private NaiveSparseGpt(double[][] weights, double[][] hessian, double damping) {
        int k = hessian.length;
        this.w = Arrays.stream(weights).map(double[]::clone).toArray(double[][]::new);
        this.h = Arrays.stream(hessian).map(double[]::clone).toArray(double[][]::new);
        this.keep = new boolean[weights.length][k];
        double mean = IntStream.range(0, k).mapToDouble(i -> hessian[i][i]).average().orElseThrow();
        for (int i = 0; i < k; i++) {
            h[i][i] += damping * mean;
        }
    }

    /// @param of 0 for zeros anywhere
    static double[][] prune(
            double[][] weights, double[][] hessian, double sparsity, int kept, int of) {
        var loop = new NaiveSparseGpt(weights, hessian, 0.01);
        int k = hessian.length;
        for (int i = 0; i < k; i++) {
            if (of == 0 && i % BLOCK == 0) {
                loop.choose(i, Math.min(i + BLOCK, k), sparsity);
            } else if (of > 0 && i % of == 0) {
                for (int row = 0; row < weights.length; row++) {
                    loop.choose(row, i, of, of - kept);
                }
            }
            loop.leaveOut(i);
        }
        return loop.w;
    }

    /// A weight's square over its place on the diagonal of the inverse of the Hessian of the
    /// columns from it on.
    private double cost(int row, int column) {
        return w[row][column] * w[row][column] / inverse(column)[0][0];
    }

    private void choose(int first, int last, double sparsity) {
        int columns = last - first;
        int[] order =
                IntStream.range(0, w.length * columns)
                        .boxed()
                        .sorted(
                                Comparator.comparingDouble(
                                        at -> cost(at / columns, first + at % columns)))
                        .mapToInt(Integer::intValue)
                        .toArray();
        int zeros = (int) (order.length * sparsity);
        for (int i = 0; i < order.length; i++) {
            keep[order[i] / columns][first + order[i] % columns] = i >= zeros;
        }
    }

    private void choose(int row, int first, int columns, int zeros) {
        int[] order =
                IntStream.range(first, first + columns)
                        .boxed()
                        .sorted(Comparator.comparingDouble(column -> cost(row, column)))
                        .mapToInt(Integer::intValue)
                        .toArray();
        for (int i = 0; i < columns; i++) {
            keep[row][order[i]] = i >= zeros;
        }
    }

    private void leaveOut(int column) {
        double[][] inverse = inverse(column);
        for (int row = 0; row < w.length; row++) {
            if (!keep[row][column]) {
                double error = w[row][column] / inverse[0][0];
                for (int j = 0; j < inverse.length; j++) {
                    w[row][column + j] -= error * inverse[0][j];
                }
                w[row][column] = 0;
            }
        }
    }

    private double[][] cached = {};

    /// The inverse of what is left of H from `first` on, by Gauss and Jordan.
    private double[][] inverse(int first) {
        int n = h.length - first;
        if (cached.length == n) {
            return cached;
        }
        double[][] a = new double[n][2 * n];
        for (int i = 0; i < n; i++) {
            System.arraycopy(h[first + i], first, a[i], 0, n);
            a[i][n + i] = 1;
        }
        for (int i = 0; i < n; i++) {
            double pivot = a[i][i];
            for (int j = 0; j < 2 * n; j++) {
                a[i][j] /= pivot;
            }
            for (int row = 0; row < n; row++) {
                double factor = row == i ? 0 : a[row][i];
                for (int j = 0; factor != 0 && j < 2 * n; j++) {
                    a[row][j] -= factor * a[i][j];
                }
            }
        }
        cached =
                Arrays.stream(a).map(r -> Arrays.copyOfRange(r, n, 2 * n)).toArray(double[][]::new);
        return cached;
    }
}
