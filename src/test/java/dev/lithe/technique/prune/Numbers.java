package dev.lithe.technique.prune;

import java.util.Arrays;
import java.util.Random;

/// Matrices for tests, and what changing one costs.
final class Numbers {
    private Numbers() {}

    static double[][] gaussian(Random random, int rows, int columns) {
        double[][] matrix = new double[rows][columns];
        for (double[] row : matrix) {
            Arrays.setAll(row, _ -> random.nextGaussian());
        }
        return matrix;
    }

    /// 2/n X Xᵀ of 4 k tokens whose inputs have much in common and differ in size.
    static double[][] correlated(Random random, int k) {
        int tokens = 4 * k;
        double[][] mixing = gaussian(random, k, k / 4);
        double[][] source = gaussian(random, k / 4, tokens);
        double[][] x = gaussian(random, k, tokens);
        for (int i = 0; i < k; i++) {
            double size = Math.exp(random.nextGaussian() / 2);
            for (int t = 0; t < tokens; t++) {
                for (int j = 0; j < k / 4; j++) {
                    x[i][t] += mixing[i][j] * source[j][t] / 2;
                }
                x[i][t] *= size;
            }
        }
        double[][] h = new double[k][k];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                for (int t = 0; t < tokens; t++) {
                    h[i][j] += 2 * x[i][t] * x[j][t] / tokens;
                }
            }
        }
        return h;
    }

    static double[] flat(double[][] matrix) {
        return Arrays.stream(matrix).flatMapToDouble(Arrays::stream).toArray();
    }

    static float[] floats(double[] values) {
        float[] floats = new float[values.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (float) values[i];
        }
        return floats;
    }

    /// Σ over rows of δ H δᵀ, with δ what changed.
    static double loss(double[][] before, double[] after, double[][] h) {
        int k = h.length;
        double loss = 0;
        for (int row = 0; row < before.length; row++) {
            for (int i = 0; i < k; i++) {
                for (int j = 0; j < k; j++) {
                    loss +=
                            (before[row][i] - after[row * k + i])
                                    * h[i][j]
                                    * (before[row][j] - after[row * k + j]);
                }
            }
        }
        return loss;
    }
}
